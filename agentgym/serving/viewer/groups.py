"""What the page of a group shows: its rollouts side by side, and the states that they shared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from agentgym.core.env import Action
from agentgym.core.errors import UnknownNameError
from agentgym.core.trace import Episode
from agentgym.serving.viewer.credit import Credit, credit_of
from agentgym.serving.viewer.library import Library
from agentgym.serving.viewer.runs import run_row
from agentgym.serving.viewer.tones import tone
from agentgym.store.lessons import read_lessons
from agentgym.store.queries import matching, read_chunk

_MOST = 256
"""Rollouts of a group that are compared."""


class Visit(NamedTuple):
    """A turn that stood in a state."""

    episode: Episode
    position: int
    action: str
    reward: float
    valid: bool
    returned: float
    advantage: float | None

    @property
    def tone(self) -> str:
        """How the advantage is coloured."""
        return tone(self.advantage)


@dataclass(frozen=True, slots=True)
class GroupPage:
    """Everything on the page of a group."""

    group_id: str
    episodes: Sequence[Episode]
    rows: Sequence[Sequence[Visit | None]]
    """By turn, then episode."""
    states: Mapping[str, Sequence[Visit]]
    """The visits of each state in which more than one turn stood, the most visited first."""
    codes: Mapping[str, int]
    """A short number for each of these states."""
    credit: Credit


def group_page(library: Library, name: str, run_id: str, group_id: str) -> GroupPage:
    """Return the page of a group; raises `UnknownNameError` and as `Library.reading`."""
    with library.reading(name) as connection:
        config = json.loads(run_row(connection, run_id)["config_json"])
        group = read_group(connection, run_id, group_id)
        lessons = read_lessons(connection, run_id, [episode.id for episode in group])
    if not group:
        raise UnknownNameError("group", group_id, ())
    credit = credit_of(group, config, lessons)
    states: dict[str, list[Visit]] = {}
    columns = [[visit_of(episode, n, credit) for n in range(len(episode.turns))] for episode in group]
    for column in columns:
        for visit in column:
            states.setdefault(visit.episode.turns[visit.position].state_key, []).append(visit)
    shared = {key: visits for key, visits in states.items() if key and len(visits) > 1}
    ordered = dict(sorted(shared.items(), key=lambda item: -len(item[1])))
    longest = max(map(len, columns))
    return GroupPage(
        group_id=group_id,
        episodes=group,
        rows=[[column[n] if n < len(column) else None for column in columns] for n in range(longest)],
        states=ordered,
        codes={key: number for number, key in enumerate(ordered, 1)},
        credit=credit,
    )


def said(action: Action) -> str:
    """Return an action in one string."""
    return action if isinstance(action, str) else f"{action.name}({json.dumps(dict(action.arguments))})"


def visit_of(episode: Episode, position: int, credit: Credit) -> Visit:
    """Return what a turn did and what came of it."""
    turn = episode.turns[position]
    return Visit(
        episode=episode,
        position=position,
        action=said(turn.action),
        reward=turn.reward,
        valid=turn.valid,
        returned=credit.returns[episode.id][position],
        advantage=credit.advantages[episode.id][position] if episode.id in credit.advantages else None,
    )


def read_group(connection: Connection, run_id: str, group_id: str) -> list[Episode]:
    """Return the episodes of a group, by id."""
    last, found = 0, list[Episode]()
    while len(found) < _MOST and (
        chunk := read_chunk(connection, matching(run_id, {"group_id": group_id}), last)
    ):
        last = chunk[-1][0]
        found += [episode for _, episode in chunk]
    return sorted(found[:_MOST], key=lambda episode: episode.id)
