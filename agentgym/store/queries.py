"""Episodes in the database: insertion of many at once, and reading back."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import Any, TypedDict

from sqlalchemy import ColumnElement, Connection, RowMapping, select

from agentgym.core.errors import UnknownNameError
from agentgym.core.trace import Episode, Outcome
from agentgym.store.records import EPISODE_COLUMNS, TURN_COLUMNS, EpisodeRecord, read_episode
from agentgym.store.tables import StoreRow

_EPISODES = StoreRow.metadata.tables["episodes"]
_TURNS = StoreRow.metadata.tables["turns"]
_COUNTS = StoreRow.metadata.tables["episode_counts"]

_CHUNK = 64
"""Episodes read by one query."""


class EpisodeFilter(TypedDict, total=False):
    """Which episodes of a run; each given field must match."""

    id: str
    iteration: int
    phase: str
    group_id: str
    task_id: str
    outcome: Outcome


def insert_episodes(connection: sqlite3.Connection, records: Iterable[EpisodeRecord]) -> None:
    """Insert episodes with their turns, and count them; the caller owns the transaction."""
    counts = Counter[tuple[Any, ...]]()
    for record in records:
        pk = connection.execute(_INSERT_EPISODE, record.values).lastrowid
        connection.executemany(_INSERT_TURN, [(pk, *values) for values in record.turns])
        counts[tuple(record.values[place] for place in _COUNTED)] += 1
    connection.executemany(_ADD_COUNT, [(*kind, count) for kind, count in counts.items()])


def recount(connection: sqlite3.Connection, run_id: str) -> None:
    """Count a run's episodes anew, after some were deleted; the caller owns the transaction."""
    connection.execute("DELETE FROM episode_counts WHERE run_id = ?", (run_id,))
    connection.execute(
        "INSERT INTO episode_counts SELECT run_id, phase, outcome, count(*) FROM episodes WHERE run_id = ? "
        "GROUP BY phase, outcome",
        (run_id,),
    )


def episode_counts(connection: Connection, run_id: str) -> dict[tuple[str, str], int]:
    """Return how many episodes of a run there are by phase and outcome, without going through them."""
    query = select(_COUNTS.c.phase, _COUNTS.c.outcome, _COUNTS.c.episodes)
    query = query.where(_COUNTS.c.run_id == run_id, _COUNTS.c.episodes > 0)
    return {(phase, outcome): count for phase, outcome, count in connection.execute(query)}


def matching(run_id: str, where: EpisodeFilter) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter; raises `UnknownNameError` for a field that is none."""
    conditions: list[ColumnElement[bool]] = [_EPISODES.c.run_id == run_id]
    for name, value in where.items():
        if name not in EpisodeFilter.__annotations__:
            raise UnknownNameError("episode filter", name, EpisodeFilter.__annotations__)
        conditions.append(_EPISODES.c[name] == value)
    return conditions


def read_chunk(
    connection: Connection, conditions: list[ColumnElement[bool]], after: int
) -> list[tuple[int, Episode]]:
    """Return the next episodes with a `pk` above `after`, with their `pk`, in order; empty at the end."""
    episodes = (
        select(_EPISODES).where(*conditions, _EPISODES.c.pk > after).order_by(_EPISODES.c.pk).limit(_CHUNK)
    )
    rows = connection.execute(episodes).mappings().all()
    turns = _turns_of(connection, [row["pk"] for row in rows])
    return [(row["pk"], read_episode(row, turns.get(row["pk"], ()))) for row in rows]


def _turns_of(connection: Connection, pks: list[int]) -> dict[int, list[RowMapping]]:
    turns = (
        select(_TURNS).where(_TURNS.c.episode_pk.in_(pks)).order_by(_TURNS.c.episode_pk, _TURNS.c.position)
    )
    rows = connection.execute(turns).mappings()
    return {pk: list(group) for pk, group in groupby(rows, key=lambda row: row["episode_pk"])}


def _insert(table: str, columns: list[str]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"


_COUNTED = [EPISODE_COLUMNS.index(name) for name in ("run_id", "phase", "outcome")]
_ADD_COUNT = (
    "INSERT INTO episode_counts (run_id, phase, outcome, episodes) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (run_id, phase, outcome) DO UPDATE SET episodes = episodes + excluded.episodes"
)
_INSERT_EPISODE = _insert("episodes", EPISODE_COLUMNS)
_INSERT_TURN = _insert("turns", ["episode_pk", *TURN_COLUMNS])
