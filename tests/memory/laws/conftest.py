"""Household episodes of a player that errs, with what they did to the state of the game."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import pytest

from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.memory.laws.watching import Change, watch_all
from agentgym.registry import make, suite
from benchmarks.erring import play


def first(split: Split, count: int, start: int = 0) -> list[Episode]:
    """Play `count` tasks of a split, from the one at `start` on."""
    tasks = suite("household", difficulty="easy").tasks(split)[start : start + count]
    return play(tasks, 1, f"{split.value}-{start}", split)


def watched(split: Split, episodes: Sequence[Episode]) -> list[Change]:
    with closing(make("household", split=split, difficulty="easy")) as env:
        return watch_all(episodes, env)


@pytest.fixture(scope="session")
def episodes() -> list[Episode]:
    """Of train tasks."""
    return first(Split.TRAIN, 60)


@pytest.fixture(scope="session")
def unseen() -> list[Change]:
    """What happened in episodes of other tasks, of the split `select`."""
    return watched(Split.SELECT, first(Split.SELECT, 12))
