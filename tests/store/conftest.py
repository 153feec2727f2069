import math
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from agentgym.core.message import Message
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason, Turn
from agentgym.store.store import Store

MakeEpisode = Callable[[str], Episode]


@pytest.fixture(scope="session")
def same() -> Callable[[Any, Any], bool]:
    """Equality of values and records in type and content, where not-a-number equals itself."""
    return _same


def _same(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray | np.generic):
        return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())
    if is_dataclass(left):
        return all(_same(getattr(left, field.name), getattr(right, field.name)) for field in fields(left))
    if isinstance(left, dict):
        entries = cast("dict[Any, Any]", left)
        return entries.keys() == right.keys() and all(_same(entries[key], right[key]) for key in entries)
    if isinstance(left, list | tuple):
        items = cast("list[Any]", left)
        return len(items) == len(right) and all(map(_same, items, right))
    return left == right or (isinstance(left, float) and math.isnan(left) and math.isnan(right))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as store:
        store.create_run("run", "train", config={"lr": 0.1}, versions={"agentgym": "0"})
        yield store


@pytest.fixture(scope="session")
def make_episode() -> MakeEpisode:
    """Make an episode of three turns with the given id."""
    task = Task("task-1", "test/Test-v0", Split.TRAIN, seed=2, params={"task_type": "easy"}, group="seen")

    def turn(position: int, n_tokens: int) -> Turn:
        ids = np.arange(n_tokens, dtype=np.int32) + position
        return Turn(
            observation=f"You are in room {position}.",
            action="go east",
            reward=float(position),
            terminated=position == 2,
            truncated=False,
            valid=True,
            state_key=f"room-{position}",
            policy_version=4,
            prompt_start=10 * position,
            prompt_ids=ids,
            completion_ids=ids + 1,
            logprobs=np.full(n_tokens, -1 / 3, np.float32),
            loss_mask=np.ones(n_tokens, np.int8),
            messages_delta=(Message("user", "Where?"), Message("assistant", "go east")),
            timing={"policy": 0.1, "env": 0.2},
        )

    def make(episode_id: str) -> Episode:
        turns = [turn(position, 5) for position in range(3)]
        return Episode(episode_id, task, "group-1", turns, Outcome.SUCCESS, 3.0, StopReason.COMPLETED, seed=7)

    return make
