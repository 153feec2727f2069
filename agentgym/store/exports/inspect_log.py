"""Episodes as an `.eval` log that `inspect view` opens: a zip of JSON documents, written without inspect_ai.

One sample for each task and epoch. A fault of the infrastructure is the sample's error and it has no score, as an
episode has none; the limits that ended an episode are the sample's limits. The format is version 2 of
`inspect_ai.log.EvalLog`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from agentgym.core import strict_json
from agentgym.core.message import Message
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode, StopReason, Turn
from agentgym.store.exports.source import Source, answer_of, readable, text_of, told_before

FORMAT = 2
SCORER = "success"

_LIMITS = {
    StopReason.MAX_TURNS: "turn",
    StopReason.ENV_TRUNCATED: "turn",
    StopReason.TOKEN_LIMIT: "token",
    StopReason.TIME_LIMIT: "time",
    StopReason.CONTEXT_OVERFLOW: "context",
}


class _Figures(NamedTuple):
    """What the log's header says of all samples."""

    epochs: int
    total: int
    scored: int
    metrics: Mapping[str, float]


def write_inspect_log(
    episodes: Iterable[Episode],
    path: Path,
    source: Source,
    *,
    metrics: Mapping[str, float],
    completed: str,
) -> int:
    """Write the log to `path`, which ends in `.eval`; return how many samples it has.

    `metrics` are the figures of the header by name, such as `accuracy` and `stderr`; `completed` is when it ended.
    """
    epochs: dict[str, set[int]] = {}
    summaries: list[dict[str, Any]] = []
    suite, split = "", ""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for episode in episodes:
            suite, split = episode.task.env_id, episode.task.split.value
            sample = _sample(episode, _epoch(episode, epochs.setdefault(episode.task.id, set())), source)
            _add(archive, f"samples/{sample['id']}_epoch_{sample['epoch']}.json", sample)
            summaries.append(_summary(sample))
        scored = sum(bool(summary["scores"]) for summary in summaries)
        figures = _Figures(max(map(len, epochs.values()), default=1), len(summaries), scored, metrics)
        start = _start(source, suite, split, list(epochs), figures.epochs)
        _add(archive, "_journal/start.json", start)
        _add(archive, "summaries.json", summaries)
        _add(archive, "header.json", {**start, **_ending(source, figures, completed)})
    return len(summaries)


def _add(archive: ZipFile, name: str, content: Any) -> None:
    archive.writestr(name, strict_json.dumps(content))


def _epoch(episode: Episode, taken: set[int]) -> int:
    """Return which of its task's episodes it is, from 1, and take it: by the end of its id where that says so."""
    said = episode.id.rpartition("/")[2]
    epoch = int(said) + 1 if said.isdecimal() else 1
    while epoch in taken:
        epoch += 1
    taken.add(epoch)
    return epoch


def _start(source: Source, suite: str, split: str, tasks: Sequence[str], epochs: int) -> dict[str, Any]:
    name = f"{suite.rpartition('/')[2]}-{split}"
    return {
        "version": FORMAT,
        "eval": {
            "eval_id": _id(source.run, "eval"),
            "run_id": _id(source.run, "run"),
            "created": source.created,
            "task": name,
            "task_id": _id(source.run, name),
            "task_version": 0,
            "task_args": {},
            "dataset": {"name": name, "samples": len(tasks), "sample_ids": list(tasks), "shuffled": False},
            "model": source.model or f"agentgym/{source.agent}",
            "config": {"epochs": epochs},
            "packages": {name: str(version) for name, version in source.versions.items() if version},
            "metadata": {"run": source.run, "agent": source.agent},
            "scorers": [
                {"name": SCORER, "metrics": [{"name": "accuracy"}, {"name": "stderr"}], "metadata": {}}
            ],
        },
        "plan": {"name": "plan", "steps": [{"solver": source.agent, "params": {}}], "config": {}},
    }


def _ending(source: Source, figures: _Figures, completed: str) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        name: {"name": name, "value": value, "params": {}} for name, value in figures.metrics.items()
    }
    score: dict[str, Any] = {
        "name": SCORER,
        "scorer": SCORER,
        "scored_samples": figures.scored,
        "unscored_samples": figures.total - figures.scored,
        "params": {},
        "metrics": metrics,
    }
    results: dict[str, Any] = {
        "total_samples": figures.total,
        "completed_samples": figures.scored,
        "scores": [score],
    }
    stats: dict[str, Any] = {"started_at": source.created, "completed_at": completed, "model_usage": {}}
    return {"status": "success", "results": results, "stats": stats}


def _sample(episode: Episode, epoch: int, source: Source) -> dict[str, Any]:
    opening = text_of(episode.turns[0].observation if episode.turns else episode.final_observation)
    messages = _messages(episode, opening, source)
    usage = {
        "input_tokens": episode.usage.prompt,
        "output_tokens": episode.usage.completion,
        "total_tokens": sum(episode.usage),
    }
    model = source.model or f"agentgym/{source.agent}"
    seconds = sum(sum(turn.timing.values()) for turn in episode.turns)
    last = answer_of(episode.turns[-1]) if episode.turns else ""
    sample: dict[str, Any] = {
        "id": episode.task.id,
        "epoch": epoch,
        "input": opening,
        "target": "success",
        "messages": messages,
        "output": {"model": model, "choices": [], "completion": last},
        "scores": _scores(episode),
        "metadata": {
            "episode": episode.id,
            "task_type": episode.task.task_type,
            "difficulty": episode.task.difficulty,
            "group": episode.task.group,
            "task_key": episode.task.key,
            "outcome": episode.outcome.value,
            "stop_reason": episode.stop_reason.value,
            "seed": str(episode.seed),
            "rewards": [turn.reward for turn in episode.turns],
        },
        "store": {},
        "events": [],
        "model_usage": {model: usage} if sum(episode.usage) else {},
        "total_time": round(seconds, 6),
        "working_time": round(seconds, 6),
        "uuid": _id(source.run, episode.id),
        "turn_count": len(episode.turns),
    }
    if not episode.outcome.scored:
        report = readable(episode.error or "") or episode.outcome.value
        message = f"{episode.outcome.value}: {report.splitlines()[-1]}"
        sample["error"] = {"message": message, "traceback": report, "traceback_ansi": report}
    elif episode.stop_reason in _LIMITS:
        kind = _LIMITS[episode.stop_reason]
        sample["limit"] = {"type": kind, "limit": len(episode.turns), "reason": episode.stop_reason.value}
    return sample


def _scores(episode: Episode) -> dict[str, Any]:
    if not episode.outcome.scored:
        return {}
    told = f"{episode.outcome.value} after {len(episode.turns)} turns, rewards {episode.score:g} in all"
    return {SCORER: {"value": 1.0 if episode.success else 0.0, "explanation": told}}


def _messages(episode: Episode, opening: str, source: Source) -> list[dict[str, Any]]:
    """Return the conversation as the environment and the agent had it: what was seen, and what was said."""
    messages = [_plain(message) for message in told_before(episode)]
    messages.append({"role": "user", "content": opening, "source": "input"})
    for position, turn in enumerate(episode.turns):
        messages.append(_answer(position, turn, source))
        last = position == len(episode.turns) - 1
        seen = text_of(episode.final_observation if last else episode.turns[position + 1].observation)
        if isinstance(turn.action, ToolCall):
            name = turn.action.id or f"call-{position}"
            messages.append(
                {"role": "tool", "content": seen, "tool_call_id": name, "function": turn.action.name}
            )
        else:
            messages.append({"role": "user", "content": seen})
    return [{"id": _id(episode.id, str(place)), **message} for place, message in enumerate(messages)]


def _answer(position: int, turn: Turn, source: Source) -> dict[str, Any]:
    answer: dict[str, Any] = {"role": "assistant", "content": answer_of(turn), "source": "generate"}
    answer["model"] = source.model or f"agentgym/{source.agent}"
    if isinstance(turn.action, ToolCall):
        call = turn.action
        name = call.id or f"call-{position}"
        answer["tool_calls"] = [
            {"id": name, "function": call.name, "arguments": dict(call.arguments), "type": "function"}
        ]
    return answer


def _plain(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": message.content}


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a list of samples shows."""
    kept = (
        "id",
        "epoch",
        "input",
        "target",
        "metadata",
        "scores",
        "model_usage",
        "total_time",
        "working_time",
    )
    summary: dict[str, Any] = {name: sample[name] for name in kept}
    summary["input"] = sample["input"][:1000]
    summary["metadata"] = {name: value for name, value in sample["metadata"].items() if name != "rewards"}
    summary |= {"uuid": sample["uuid"], "completed": True, "retries": 0, "turn_count": sample["turn_count"]}
    summary["message_count"] = len(sample["messages"])
    if "error" in sample:
        summary["error"] = sample["error"]["message"]
    if "limit" in sample:
        summary["limit"] = sample["limit"]["type"]
    return summary


def _id(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=11).hexdigest()
