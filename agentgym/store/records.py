"""Episodes and turns as rows, and back, exactly.

Rows are plain tuples in the order of the column lists here: objects would cost more than the insert.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from agentgym.core.env import Action
from agentgym.core.errors import UsageError
from agentgym.core.message import Message
from agentgym.core.policy import TokenCount
from agentgym.core.task import Task
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode, Origin, Outcome, StopReason, Thought, Turn, Versions
from agentgym.store.tables import EpisodeRow, TurnRow
from agentgym.store.values import dump_value, load_value

EPISODE_COLUMNS = [name for name in EpisodeRow.model_fields if name != "pk"]
TURN_COLUMNS = [name for name in TurnRow.model_fields if name != "episode_pk"]

_INT32 = np.dtype("<i4")
_FLOAT32 = np.dtype("<f4")
_INT8 = np.dtype("i1")
_json = json.JSONEncoder(separators=(",", ":")).encode


class EpisodeRecord(NamedTuple):
    """An episode ready to be inserted."""

    values: tuple[Any, ...]
    """In the order of `EPISODE_COLUMNS`."""
    turns: list[tuple[Any, ...]]
    """In the order of `TURN_COLUMNS`."""


def episode_record(run_id: str, iteration: int, phase: str, episode: Episode) -> EpisodeRecord:
    """Turn an episode into rows; raises `UsageError` for what cannot be stored."""
    turns = [_turn_values(position, turn) for position, turn in enumerate(episode.turns)]
    return EpisodeRecord(_episode_values(run_id, iteration, phase, episode), turns)


def _episode_values(run_id: str, iteration: int, phase: str, episode: Episode) -> tuple[Any, ...]:
    if (episode.score is None) == episode.outcome.scored:
        raise UsageError(
            f"Episode {episode.id!r} has outcome {episode.outcome.value!r} and score {episode.score}; "
            "an episode has a score exactly where its outcome is scored."
        )
    observation, data = _split_observation(episode.final_observation)
    return (
        run_id,
        iteration,
        phase,
        episode.id,
        episode.group_id,
        episode.task.id,
        episode.task.split.value,
        _json(episode.task.to_json()),
        episode.outcome.value,
        None if episode.score is None else float(episode.score),
        episode.stop_reason.value,
        str(episode.seed),
        int(episode.versions.policy),
        episode.versions.memory,
        episode.versions.skills,
        episode.versions.tools,
        None if episode.error is None else episode.error.encode(errors="backslashreplace").decode(),
        observation,
        data,
        None if episode.origin is None else episode.origin.episode,
        None if episode.origin is None else int(episode.origin.turn),
        len(episode.turns),
        episode.sampled_tokens,
    )


def _turn_values(position: int, turn: Turn) -> tuple[Any, ...]:
    observation, data = _split_observation(turn.observation)
    action, action_json = _split_action(turn.action)
    completion_ids = _blob(turn.completion_ids, _INT32, "completion_ids")
    mask = _blob(turn.loss_mask, _INT8, "loss_mask")
    return (
        position,
        observation,
        data,
        action,
        action_json,
        float(turn.reward),
        bool(turn.terminated),
        bool(turn.truncated),
        bool(turn.valid),
        turn.state_key,
        int(turn.policy_version),
        int(turn.prompt_start),
        _blob(turn.prompt_ids, _INT32, "prompt_ids"),
        completion_ids,
        _blob(turn.logprobs, _FLOAT32, "logprobs"),
        None if mask == b"\x01" * (len(completion_ids) // 4) else mask,
        _json([message.to_openai() for message in turn.messages_delta]) if turn.messages_delta else None,
        _json(list(turn.shown_items)) if turn.shown_items else None,
        _json(dict(turn.timing)) if turn.timing else None,
        _blob(turn.policy_versions, _INT32, "policy_versions") or None,
        dump_value([_thought_values(thought) for thought in turn.thoughts]) if turn.thoughts else None,
        int(turn.usage.prompt),
        int(turn.usage.completion),
        _json(list(turn.withheld_items)) if turn.withheld_items else None,
    )


def _thought_values(thought: Thought) -> dict[str, Any]:
    return {part.name: getattr(thought, part.name) for part in fields(thought)}


def read_episode(row: Mapping[Any, Any], turns: Iterable[Mapping[Any, Any]]) -> Episode:
    """Rebuild an episode from its row and those of its turns, in order."""
    outcome, origin = Outcome(row["outcome"]), row["origin_episode"]
    return Episode(
        id=row["id"],
        task=Task.from_json(json.loads(row["task_json"])),
        group_id=row["group_id"],
        turns=tuple(_read_turn(turn) for turn in turns),
        outcome=outcome,
        score=number(row["score"]) if outcome.scored else None,
        stop_reason=StopReason(row["stop_reason"]),
        seed=int(row["seed"]),
        versions=Versions(
            row["policy_version"], row["memory_version"], row["skills_version"], row["tools_version"]
        ),
        error=row["error"],
        final_observation=_join_observation(row["final_observation"], row["final_observation_data"]),
        origin=None if origin is None else Origin(origin, row["origin_turn"]),
    )


def _read_turn(row: Mapping[Any, Any]) -> Turn:
    completion_ids = _array(row["completion_ids"], _INT32)
    mask, messages = row["loss_mask"], row["messages_json"]
    shown, withheld = row["shown_items_json"], row["withheld_items_json"]
    return Turn(
        observation=_join_observation(row["observation"], row["observation_data"]),
        action=_join_action(row["action"], row["action_json"]),
        reward=number(row["reward"]),
        terminated=bool(row["terminated"]),
        truncated=bool(row["truncated"]),
        valid=bool(row["valid"]),
        state_key=row["state_key"],
        policy_version=row["policy_version"],
        prompt_start=row["prompt_start"],
        prompt_ids=_array(row["prompt_ids"], _INT32),
        completion_ids=completion_ids,
        logprobs=_array(row["logprobs"], _FLOAT32),
        loss_mask=np.ones(len(completion_ids), np.int8) if mask is None else _array(mask, _INT8),
        messages_delta=_read_messages(messages) if messages else (),
        shown_items=tuple(json.loads(shown)) if shown else (),
        withheld_items=tuple(json.loads(withheld)) if withheld else (),
        timing=json.loads(row["timing_json"]) if row["timing_json"] else {},
        policy_versions=_array(row["policy_versions"] or b"", _INT32),
        thoughts=tuple(Thought(**values) for values in load_value(row["thoughts"]))
        if row["thoughts"]
        else (),
        usage=TokenCount(row["prompt_tokens"], row["completion_tokens"]),
    )


def _read_messages(written: str) -> tuple[Message, ...]:
    return tuple(Message.from_openai(data, images=True) for data in json.loads(written))


def _split_observation(value: Any) -> tuple[str | None, bytes | None]:
    """Return the text of an observation, and all of it where there is more than the text."""
    if isinstance(value, str):
        return (value, None) if _is_utf8(value) else (None, dump_value(value))
    if value is None:
        return None, None
    data = dump_value(value)
    text = cast("dict[str, Any]", value).get("text") if isinstance(value, dict) else None
    return (text if isinstance(text, str) and _is_utf8(text) else None), data


def _join_observation(text: str | None, data: bytes | None) -> Any:
    return text if data is None else load_value(data)


def _split_action(action: Action) -> tuple[str | None, str | None]:
    """Return the command, or the JSON of anything else."""
    if isinstance(action, str):
        return (action, None) if _is_utf8(action) else (None, _json(action))
    return None, _json({"name": action.name, "arguments": dict(action.arguments), "id": action.id})


def _join_action(command: str | None, data: str | None) -> Action:
    if data is None:
        return command or ""
    value = json.loads(data)
    return value if isinstance(value, str) else ToolCall(**value)


def _is_utf8(text: str) -> bool:
    """Whether SQLite can hold the text: lone surrogates (a JSON answer may carry them) have no UTF-8."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def number(value: float | None) -> float:
    """Read a float that may not be a number: SQLite keeps such a one as null."""
    return float("nan") if value is None else value


def _blob(array: NDArray[Any], dtype: np.dtype[Any], name: str) -> bytes:
    if array.dtype != dtype:
        raise UsageError(f"{name} has dtype {array.dtype}; a turn holds {dtype} there.")
    return array.tobytes()


def _array(data: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.frombuffer(data, dtype).copy()
