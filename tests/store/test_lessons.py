"""What training made of episodes is kept beside them, goes with them, and is read back as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from agentgym.core.errors import UsageError
from agentgym.core.trace import Episode
from agentgym.store.lessons import Lesson
from agentgym.store.store import Store

MakeEpisode = Callable[[str], Episode]


def lesson(episode: str, iteration: int, clipped: bool = False) -> Lesson:
    return Lesson(
        episode,
        iteration,
        np.array([0.5, -0.25, 0.0], np.float32),
        np.array([0.5, 0.5, -0.25], np.float32),
        np.array([1.0, np.nan, 1.25], np.float32),
        np.array([False, False, clipped]),
    )


def test_lessons_are_read_as_they_were_written(
    store: Store, make_episode: MakeEpisode, same: Callable[[Any, Any], bool]
) -> None:
    store.write_episodes("run", [make_episode("a"), make_episode("b")], iteration=0)
    store.write_lessons("run", [lesson("a", 2, clipped=True), lesson("a", 0), lesson("nobody", 0)])
    assert same(store.lessons("run", "a", "b"), {"a": [lesson("a", 0), lesson("a", 2, clipped=True)]})
    store.write_lessons("run", [lesson("a", 0, clipped=True)])
    assert [one.clipped_N[-1] for one in store.lessons("run", "a")["a"]] == [True, True]


def test_a_lesson_goes_with_its_episode_and_with_its_iteration(
    store: Store, make_episode: MakeEpisode
) -> None:
    store.write_episodes("run", [make_episode("a"), make_episode("b")], iteration=0)
    store.write_episodes("run", [make_episode("c")], iteration=1)
    store.write_lessons("run", [lesson("a", 0), lesson("b", 0), lesson("b", 1), lesson("c", 1)])
    store.delete_episodes("run", ["a"])
    store.delete_from("run", 1)  # `b` was learned from again in an iteration that is to be done anew
    assert {
        name: [one.iteration for one in of] for name, of in store.lessons("run", "a", "b", "c").items()
    } == {"b": [0]}
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM lessons").fetchone() == (1,)


def test_columns_that_do_not_fit_are_refused(store: Store, make_episode: MakeEpisode) -> None:
    store.write_episodes("run", [make_episode("a")], iteration=0)
    zeros = np.zeros(3, np.float32)
    short = Lesson("a", 0, zeros, zeros, zeros[:2], np.zeros(3, np.bool_))
    with pytest.raises(UsageError, match=r"'a' has 3 advantages, 2 ratios and 3 clips"):
        store.write_lessons("run", [short])
    assert store.lessons("run", "a") == {}


def test_episodes_are_counted_as_they_come_and_go(store: Store, make_episode: MakeEpisode) -> None:
    store.create_run("other", "train", config={}, versions={})
    store.write_episodes("other", [make_episode("a")], iteration=0)
    store.write_episodes("run", map(make_episode, "abc"), iteration=0)
    store.write_episodes("run", map(make_episode, "de"), iteration=1, phase="eval")
    assert store.phases("run") == {"train": 3, "eval": 2}
    store.delete_episodes("run", ["a", "d"])
    assert store.phases("run") == {"train": 2, "eval": 1}
    store.delete_from("run", 1)
    assert (store.phases("run"), store.phases("other")) == ({"train": 2}, {"train": 1})
