"""Episodes as a parquet file: one row for each, its turns as a list of structs. Needs pyarrow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from agentgym.core.errors import ConfigError
from agentgym.core.trace import Episode, Turn
from agentgym.store.exports.lines import action_text, number_or_none
from agentgym.store.exports.source import Source, readable, text_of

_GROUP = 256
"""Episodes of one row group: what is held at once."""


def write_parquet(episodes: Iterable[Episode], path: Path, source: Source) -> int:
    """Write the episodes; return how many there were. Raises `ConfigError` without pyarrow.

    Pictures are left out; the JSON of the task and of messages is text, since its keys differ from row to row.
    """
    try:
        pa: Any = import_module("pyarrow")
        pq: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(
            "Parquet needs the package pyarrow: pip install 'agentgym-harness[export]'."
        ) from error
    schema = _schema(pa)
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(iter(episodes)):
            writer.write_table(
                pa.Table.from_pylist([_row(episode, source) for episode in group], schema=schema)
            )
            count += len(group)
    return count


def _groups(episodes: Iterator[Episode]) -> Iterator[list[Episode]]:
    while group := list(islice(episodes, _GROUP)):
        yield group


def _row(episode: Episode, source: Source) -> dict[str, Any]:
    return {
        "run": source.run,
        "agent": source.agent,
        "id": episode.id,
        "group_id": episode.group_id,
        "task_id": episode.task.id,
        "task_key": episode.task.key,
        "task_type": episode.task.task_type,
        "difficulty": episode.task.difficulty,
        "split": episode.task.split.value,
        "task": json.dumps(episode.task.to_json()),
        "seed": episode.seed,
        "outcome": episode.outcome.value,
        "score": number_or_none(episode.score),
        "stop_reason": episode.stop_reason.value,
        "error": None if episode.error is None else readable(episode.error),
        "policy_version": episode.versions.policy,
        "memory_version": episode.versions.memory,
        "skills_version": episode.versions.skills,
        "tools_version": episode.versions.tools,
        "origin_episode": None if episode.origin is None else episode.origin.episode,
        "origin_turn": None if episode.origin is None else episode.origin.turn,
        "final_observation": text_of(episode.final_observation),
        "turns": [_turn(turn) for turn in episode.turns],
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "observation": text_of(turn.observation),
        "action": readable(action_text(turn.action)),
        "reward": turn.reward,
        "terminated": turn.terminated,
        "truncated": turn.truncated,
        "valid": turn.valid,
        "state_key": turn.state_key,
        "policy_version": turn.policy_version,
        "prompt_start": turn.prompt_start,
        "prompt_ids": turn.prompt_ids,
        "completion_ids": turn.completion_ids,
        "logprobs": turn.logprobs,
        "loss_mask": turn.loss_mask,
        "prompt_tokens": turn.usage.prompt,
        "completion_tokens": turn.usage.completion,
        "messages": json.dumps([message.to_openai() for message in turn.messages_delta]),
        "shown_items": list(turn.shown_items),
        "withheld_items": list(turn.withheld_items),
        "policy_s": turn.timing.get("policy"),
        "env_s": turn.timing.get("env"),
        "thoughts": len(turn.thoughts),
    }


def _schema(pa: Any) -> Any:
    text, whole, number, flag = pa.string(), pa.int64(), pa.float64(), pa.bool_()
    turn = {
        **dict.fromkeys(("observation", "action"), text),
        "reward": number,
        **dict.fromkeys(("terminated", "truncated", "valid"), flag),
        "state_key": text,
        **dict.fromkeys(("policy_version", "prompt_start"), whole),
        **dict.fromkeys(("prompt_ids", "completion_ids"), pa.list_(pa.int32())),
        "logprobs": pa.list_(pa.float32()),
        "loss_mask": pa.list_(pa.int8()),
        **dict.fromkeys(("prompt_tokens", "completion_tokens"), whole),
        "messages": text,
        **dict.fromkeys(("shown_items", "withheld_items"), pa.list_(text)),
        **dict.fromkeys(("policy_s", "env_s"), number),
        "thoughts": whole,
    }
    names = (
        "run",
        "agent",
        "id",
        "group_id",
        "task_id",
        "task_key",
        "task_type",
        "difficulty",
        "split",
        "task",
    )
    episode = {
        **dict.fromkeys(names, text),
        "seed": pa.uint64(),
        "outcome": text,
        "score": number,
        **dict.fromkeys(("stop_reason", "error"), text),
        "policy_version": whole,
        **dict.fromkeys(("memory_version", "skills_version", "tools_version", "origin_episode"), text),
        "origin_turn": whole,
        "final_observation": text,
        "turns": pa.list_(pa.struct(list(turn.items()))),
    }
    return pa.schema(list(episode.items()))
