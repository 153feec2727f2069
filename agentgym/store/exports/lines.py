"""Episodes as JSON lines: one object for each, with everything that is recorded."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentgym.core import strict_json
from agentgym.core.env import Action
from agentgym.core.trace import Episode, Thought, Turn
from agentgym.store.exports.source import Source, text_of
from agentgym.store.values import dump_value


def write_lines(episodes: Iterable[Episode], path: Path, source: Source) -> int:
    """Write one line for each episode; return how many there were."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for episode in episodes:
            count += 1
            line = {"run": source.run, "agent": source.agent, **to_plain(episode)}
            file.write(strict_json.dumps(line) + "\n")
    return count


def to_plain(episode: Episode) -> dict[str, Any]:
    """Return an episode as JSON data. What is no number is null.

    An observation that is more than a text has, besides its text, all of it in `observation_data`: base64 of the bytes
    that `agentgym.store.values.load_value` reads.
    """
    return {
        "id": episode.id,
        "group_id": episode.group_id,
        "task": episode.task.to_json(),
        "task_key": episode.task.key,
        "seed": episode.seed,
        "outcome": episode.outcome.value,
        "score": number_or_none(episode.score),
        "stop_reason": episode.stop_reason.value,
        "error": episode.error,
        "versions": asdict(episode.versions),
        "origin": None if episode.origin is None else asdict(episode.origin),
        "turns": [_turn(turn) for turn in episode.turns],
        **_observation("final_observation", episode.final_observation),
    }


def action_text(action: Action) -> str:
    """Return a command as it is, and a tool call as JSON."""
    if isinstance(action, str):
        return action
    return json.dumps({"name": action.name, "arguments": dict(action.arguments)})


def number_or_none(value: float | None) -> float | None:
    """Return a number that JSON has, or None."""
    return value if value is not None and math.isfinite(value) else None


def _turn(turn: Turn) -> dict[str, Any]:
    action = turn.action
    call = None if isinstance(action, str) else action
    return {
        **_observation("observation", turn.observation),
        "action": action_text(action),
        "tool_call": None if call is None else {**asdict(call), "arguments": dict(call.arguments)},
        "reward": number_or_none(turn.reward),
        "terminated": turn.terminated,
        "truncated": turn.truncated,
        "valid": turn.valid,
        "state_key": turn.state_key,
        "messages": [message.to_openai() for message in turn.messages_delta],
        "shown_items": list(turn.shown_items),
        "withheld_items": list(turn.withheld_items),
        "timing": dict(turn.timing),
        "prompt_tokens": turn.usage.prompt,
        "completion_tokens": turn.usage.completion,
        **_tokens(turn),
        "thoughts": [_tokens(thought) for thought in turn.thoughts],
    }


def _tokens(part: Turn | Thought) -> dict[str, Any]:
    return {
        "policy_version": part.policy_version,
        "prompt_start": part.prompt_start,
        "prompt_ids": part.prompt_ids.tolist(),
        "completion_ids": part.completion_ids.tolist(),
        "logprobs": [number_or_none(value) for value in part.logprobs.tolist()],
        "loss_mask": part.loss_mask.tolist(),
        "policy_versions": part.policy_versions.tolist(),
    }


def _observation(name: str, value: Any) -> dict[str, Any]:
    if value is None or isinstance(value, str):
        return {name: value}
    return {name: text_of(value), f"{name}_data": base64.b64encode(dump_value(value)).decode()}
