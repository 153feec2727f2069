"""Episodes as ATIF-v1.7 trajectories, one file each.

The first observation is a step of the user, what follows an action is the observation of the agent's step; what the
format has no name for (reward, state key, versions, memory shown) stands under `extra`. Tokens are the sampled ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode, Thought, Turn
from agentgym.store.exports.atif_schema import (
    AtifAgent,
    AtifFinalMetrics,
    AtifMetrics,
    AtifObservation,
    AtifResult,
    AtifStep,
    AtifToolCall,
    AtifTrajectory,
)
from agentgym.store.exports.source import Source, answer_of, readable, text_of, told_before

_Ids = NDArray[np.int32]
_LONGEST_NAME = 200
"""Characters of an id that a file is named by: file systems take 255 bytes."""


def write_atif(episodes: Iterable[Episode], folder: Path, source: Source) -> int:
    """Write each episode to a file of its own in `folder`, named by its id; return how many there were."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for episode in episodes:
        text = to_atif(episode, source).model_dump_json(exclude_none=True)
        (folder / f"{_file_name(episode.id, taken)}.json").write_text(text, "utf-8")
    return len(taken)


def _file_name(episode_id: str, taken: set[str]) -> str:
    """Return a name that no other episode has, also where capitals do not count, and add it to those `taken`.

    >>> taken: set[str] = set()
    >>> [_file_name(name, taken) for name in ("train/0/1", "train/0_1", "train/0-1")]
    ['train_0_1', 'train_0_1~2', 'train_0-1']
    """
    wanted = re.sub(r"[^A-Za-z0-9._-]", "_", episode_id)[:_LONGEST_NAME]
    names = chain([wanted], (f"{wanted}~{number}" for number in count(2)))
    name = next(name for name in names if name.casefold() not in taken)
    taken.add(name.casefold())
    return name


def to_atif(episode: Episode, source: Source) -> AtifTrajectory:
    """Return an episode as a trajectory."""
    opening = text_of(episode.turns[0].observation if episode.turns else episode.final_observation)
    told: list[tuple[Literal["system", "user"], str]] = [
        *(("system", message.content) for message in told_before(episode)),
        ("user", opening),
    ]
    steps = [
        AtifStep(step_id=number, source=who, message=message) for number, (who, message) in enumerate(told, 1)
    ]
    context: _Ids = np.empty(0, np.int32)
    for position, turn in enumerate(episode.turns):
        step, context = _agent_step(len(steps) + 1, episode, position, turn, context)
        steps.append(step)
    return AtifTrajectory(
        session_id=source.run,
        trajectory_id=f"{source.run}/{episode.id}",
        agent=AtifAgent(name=source.agent, version=source.version, model_name=source.model or None),
        steps=steps,
        final_metrics=AtifFinalMetrics(
            total_prompt_tokens=episode.usage.prompt,
            total_completion_tokens=episode.usage.completion,
            total_steps=len(steps),
        ),
        extra=_episode_extra(episode),
    )


def _agent_step(
    number: int, episode: Episode, position: int, turn: Turn, context: _Ids
) -> tuple[AtifStep, _Ids]:
    """Return the step of a turn, and its context with its answer, which the next one's goes on from."""
    contexts: list[tuple[Thought | Turn, _Ids]] = []
    for part in turn.completions:
        prompt = np.concatenate([context[: part.prompt_start], part.prompt_ids])
        contexts.append((part, prompt))
        context = np.concatenate([prompt, part.completion_ids])
    calls = _calls(position, turn)
    asked = bool(turn.usage.completion or len(turn.completion_ids))
    last = position == len(episode.turns) - 1
    following = episode.final_observation if last else episode.turns[position + 1].observation
    result = AtifResult(source_call_id=calls[0].tool_call_id if calls else None, content=text_of(following))
    step = AtifStep(
        step_id=number,
        source="agent",
        message=answer_of(turn),
        tool_calls=calls or None,
        observation=AtifObservation(results=[result]),
        metrics=_metrics(turn, contexts) if asked else None,
        is_copied_context=True if turn.replayed else None,
        llm_call_count=len(turn.completions) if asked else 0,
        extra=_turn_extra(turn),
    )
    return step, context


def _calls(position: int, turn: Turn) -> list[AtifToolCall]:
    if not isinstance(turn.action, ToolCall):
        return []
    call = turn.action
    name = call.id or f"call-{position}"
    return [AtifToolCall(tool_call_id=name, function_name=call.name, arguments=dict(call.arguments))]


def _metrics(turn: Turn, contexts: list[tuple[Thought | Turn, _Ids]]) -> AtifMetrics:
    *thoughts, (own, prompt) = contexts
    known = len(own.completion_ids) > 0
    return AtifMetrics(
        prompt_tokens=turn.usage.prompt,
        completion_tokens=turn.usage.completion,
        prompt_token_ids=prompt.tolist() if known else None,
        completion_token_ids=own.completion_ids.tolist() if known else None,
        logprobs=own.logprobs.tolist() if known else None,
        extra={"thoughts": [_thought(part, ids) for part, ids in thoughts]} if thoughts else None,
    )


def _thought(part: Thought | Turn, prompt: _Ids) -> dict[str, Any]:
    return {
        "prompt_token_ids": prompt.tolist(),
        "completion_token_ids": part.completion_ids.tolist(),
        "logprobs": part.logprobs.tolist(),
        "policy_version": part.policy_version,
    }


def _turn_extra(turn: Turn) -> dict[str, Any]:
    extra: dict[str, Any] = {
        "action": readable(turn.action) if isinstance(turn.action, str) else None,
        "reward": turn.reward,
        "valid": turn.valid,
        "terminated": turn.terminated,
        "truncated": turn.truncated,
        "state_key": turn.state_key,
        "policy_version": turn.policy_version,
        "timing_s": dict(turn.timing) or None,
        "shown_items": list(turn.shown_items) or None,
        "withheld_items": list(turn.withheld_items) or None,
        "loss_mask": None if turn.loss_mask.all() else turn.loss_mask.tolist(),
        "policy_versions": turn.policy_versions.tolist() or None,
    }
    return {name: value for name, value in extra.items() if value is not None}


def _episode_extra(episode: Episode) -> dict[str, Any]:
    extra: dict[str, Any] = {
        "task": episode.task.to_json(),
        "task_key": episode.task.key,
        "group_id": episode.group_id,
        "seed": episode.seed,
        "outcome": episode.outcome.value,
        "score": episode.score,
        "stop_reason": episode.stop_reason.value,
        "versions": asdict(episode.versions),
        "error": None if episode.error is None else readable(episode.error),
        "origin": None if episode.origin is None else asdict(episode.origin),
    }
    return {name: value for name, value in extra.items() if value is not None}
