"""What training made of episodes: the advantage, the ratio and the clip of each trained token, as the loss saw them.

Legend: R turns of an episode, N trained tokens of it, in the order of its turns and, within one, of `Turn.completions`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from agentgym.core.errors import UsageError
from agentgym.store.tables import StoreRow

_EPISODES = StoreRow.metadata.tables["episodes"]
_LESSONS = StoreRow.metadata.tables["lessons"]
_FLOAT32 = np.dtype("<f4")
_BOOL = np.dtype("?")
_CHUNK = 500
"""Episodes asked about at a time: SQLite binds a limited number of values."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one iteration's update made of one episode."""

    episode: str
    """Its id."""
    iteration: int
    """Of the update; an episode that is learned from again has several lessons."""
    advantage_R: NDArray[np.float32]
    """Of each turn, by the recipe's rule."""
    advantage_N: NDArray[np.float32]
    """Of each trained token, in the last step that computed it: after shaping, and with the step's factor."""
    ratio_N: NDArray[np.float32]
    """The importance ratio of each trained token in that step; NaN where no step computed it."""
    clipped_N: NDArray[np.bool_]
    """Whether the clip left the token without gradient in that step."""


def insert_lessons(connection: sqlite3.Connection, run_id: str, lessons: Iterable[Lesson]) -> None:
    """Insert lessons; those of episodes that the run does not have are left out. The caller owns the transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO lessons (episode_pk, iteration, advantages, token_advantages, ratios, clipped) "
        "SELECT pk, ?, ?, ?, ?, ? FROM episodes WHERE run_id = ? AND id = ?",
        (_values(run_id, lesson) for lesson in lessons),
    )


def read_lessons(connection: Connection, run_id: str, episodes: Sequence[str]) -> dict[str, list[Lesson]]:
    """Return the lessons of episodes by id, each in the order of iterations; without those that have none."""
    found: dict[str, list[Lesson]] = {}
    for start in range(0, len(episodes), _CHUNK):
        chosen = _EPISODES.c.id.in_(episodes[start : start + _CHUNK])
        query = select(_EPISODES.c.id, _LESSONS).join_from(_LESSONS, _EPISODES)
        query = query.where(_EPISODES.c.run_id == run_id, chosen).order_by(_LESSONS.c.iteration)
        for row in connection.execute(query).mappings():
            found.setdefault(row["id"], []).append(_lesson(row))
    return found


def split(values_N: NDArray[Any], lengths: Iterable[int]) -> Iterator[NDArray[Any]]:
    """Yield the parts of an array that have the given lengths, one after another.

    >>> [part.tolist() for part in split(np.array([1, 2, 3]), [2, 0, 1])]
    [[1, 2], [], [3]]
    """
    start = 0
    for length in lengths:
        yield values_N[start : start + length]
        start += length


def _values(run_id: str, lesson: Lesson) -> tuple[Any, ...]:
    count = len(lesson.advantage_N)
    if not len(lesson.ratio_N) == len(lesson.clipped_N) == count:
        raise UsageError(
            f"The lesson of {lesson.episode!r} has {count} advantages, {len(lesson.ratio_N)} ratios and "
            f"{len(lesson.clipped_N)} clips; each trained token has one of each."
        )
    return (
        lesson.iteration,
        lesson.advantage_R.astype(_FLOAT32).tobytes(),
        lesson.advantage_N.astype(_FLOAT32).tobytes(),
        lesson.ratio_N.astype(_FLOAT32).tobytes(),
        lesson.clipped_N.astype(_BOOL).tobytes() if lesson.clipped_N.any() else None,
        run_id,
        lesson.episode,
    )


def _lesson(row: Any) -> Lesson:
    ratio_N = np.frombuffer(row["ratios"], _FLOAT32)
    clipped = row["clipped"]
    return Lesson(
        row["id"],
        row["iteration"],
        np.frombuffer(row["advantages"], _FLOAT32),
        np.frombuffer(row["token_advantages"], _FLOAT32),
        ratio_N,
        np.zeros(len(ratio_N), np.bool_) if clipped is None else np.frombuffer(clipped, _BOOL),
    )
