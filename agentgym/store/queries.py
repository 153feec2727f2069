"""Episodes in the database: insertion of many at once, and reading back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import groupby
from typing import TypedDict

from sqlalchemy import ColumnElement, Connection, RowMapping, select

from agentgym.core.errors import UnknownNameError
from agentgym.core.trace import Episode, Outcome
from agentgym.store.records import EPISODE_COLUMNS, TURN_COLUMNS, EpisodeRecord, read_episode
from agentgym.store.tables import StoreRow

_EPISODES = StoreRow.metadata.tables["episodes"]
_TURNS = StoreRow.metadata.tables["turns"]

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
    """Insert episodes with their turns; the caller owns the transaction."""
    for record in records:
        pk = connection.execute(_INSERT_EPISODE, record.values).lastrowid
        connection.executemany(_INSERT_TURN, [(pk, *values) for values in record.turns])


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


_INSERT_EPISODE = _insert("episodes", EPISODE_COLUMNS)
_INSERT_TURN = _insert("turns", ["episode_pk", *TURN_COLUMNS])
