"""What the page of an episode and the page of a group show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from agentgym.core.env import Action
from agentgym.core.errors import UnknownNameError
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode, Turn
from agentgym.serving.viewer.credit import Credit, credit_of
from agentgym.serving.viewer.library import Library
from agentgym.serving.viewer.runs import run_row
from agentgym.serving.viewer.tokens import Completion, Decoder
from agentgym.store.queries import EpisodeFilter, matching, read_chunk
from agentgym.store.tables import StoreRow

_EPISODES = StoreRow.metadata.tables["episodes"]
_MOST = 256
"""Rollouts of a group that are compared."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation."""

    text: str
    image: bool
    rest: Mapping[str, str]
    """Whatever else is in it, by name."""


@dataclass(frozen=True, slots=True)
class Step:
    """A turn on the page of its episode."""

    position: int
    turn: Turn
    seen: Seen
    action: str
    call: ToolCall | None
    output: str
    """What the policy said, as the conversation has it; empty where nothing was said."""
    messages: Sequence[Mapping[str, Any]]
    completion: Completion
    thoughts: Sequence[Completion]
    returned: float
    advantage: float | None
    peers: int
    """Turns of the group's other episodes that stood in the same state."""

    @property
    def tone(self) -> str:
        """How the advantage is coloured."""
        return tone(self.advantage)


@dataclass(frozen=True, slots=True)
class EpisodePage:
    """Everything on the page of an episode."""

    episode: Episode
    iteration: int
    phase: str
    steps: Sequence[Step]
    final: Seen
    rule: str
    slowest_s: float
    """Of all turns, to draw times to scale."""
    older: str | None
    newer: str | None
    """The neighbours in the order of writing."""


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
    rule: str


def episode_page(library: Library, name: str, run_id: str, episode_id: str) -> EpisodePage:
    """Return the page of an episode; raises `UnknownNameError` and as `Library.reading`."""
    with library.reading(name) as connection:
        config = json.loads(run_row(connection, run_id)["config_json"])
        row, episode = _one(connection, run_id, episode_id)
        group = _group(connection, run_id, episode.group_id)
        older, newer = _neighbours(connection, run_id, row["pk"])
    if all(member.id != episode.id for member in group):
        group = [*group, episode]
    credit, decoder = credit_of(group, config), Decoder(library.folder(name))
    others = [turn.state_key for member in group if member.id != episode.id for turn in member.turns]
    steps = [_step(episode, position, credit, decoder, others) for position in range(len(episode.turns))]
    return EpisodePage(
        episode=episode,
        iteration=row["iteration"],
        phase=row["phase"],
        steps=steps,
        final=_seen(episode.final_observation),
        rule=credit.rule,
        slowest_s=max((sum(turn.timing.values()) for turn in episode.turns), default=0.0),
        older=older,
        newer=newer,
    )


def group_page(library: Library, name: str, run_id: str, group_id: str) -> GroupPage:
    """Return the page of a group; raises `UnknownNameError` and as `Library.reading`."""
    with library.reading(name) as connection:
        config = json.loads(run_row(connection, run_id)["config_json"])
        group = _group(connection, run_id, group_id)
    if not group:
        raise UnknownNameError("group", group_id, ())
    credit = credit_of(group, config)
    states: dict[str, list[Visit]] = {}
    columns = [[_visit(episode, n, credit) for n in range(len(episode.turns))] for episode in group]
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
        rule=credit.rule,
    )


def observation(library: Library, name: str, run_id: str, episode_id: str, position: int) -> Any:
    """Return the observation of a turn, or the final one at the position after the last."""
    with library.reading(name) as connection:
        run_row(connection, run_id)
        _, episode = _one(connection, run_id, episode_id)
    seen = [*(turn.observation for turn in episode.turns), episode.final_observation]
    if position >= len(seen):
        raise UnknownNameError("turn", str(position), map(str, range(len(seen))))
    return seen[position]


def image_of(seen: Any) -> NDArray[np.uint8] | None:
    """Return the picture of an observation, uint8 height x width x 3; None where it has none."""
    found: Any = cast("dict[str, Any]", seen).get("image") if isinstance(seen, dict) else seen
    fits = isinstance(found, np.ndarray) and found.ndim == 3 and found.shape[2] in (3, 4) and found.size > 0
    return cast("NDArray[np.uint8]", found) if fits and found.dtype == np.uint8 else None


def text_of(seen: Any) -> str:
    """Return an observation as text, without its picture."""
    if isinstance(seen, dict):
        parts = cast("dict[str, Any]", seen)
        return str(parts.get("text", "")) or "\n".join(f"{key}: {value}" for key, value in parts.items())
    return "" if seen is None or isinstance(seen, np.ndarray) else str(seen)


def tone(advantage: float | None) -> str:
    """Return the class of an advantage's colour: from `a-3` (much worse than its peers) to `a3`."""
    if advantage is None or not np.isfinite(advantage):
        return "a-none"
    size = sum(abs(advantage) > bound for bound in (0.02, 0.4, 1.0))
    return f"a{size if advantage > 0 else -size}" if size else "a0"


def said(action: Action) -> str:
    """Return an action in one string."""
    return action if isinstance(action, str) else f"{action.name}({json.dumps(dict(action.arguments))})"


def _step(episode: Episode, position: int, credit: Credit, decoder: Decoder, others: Sequence[str]) -> Step:
    turn = episode.turns[position]
    visit = _visit(episode, position, credit)
    answers = [message.content for message in turn.messages_delta if message.role == "assistant"]
    return Step(
        position=position,
        turn=turn,
        seen=_seen(turn.observation),
        action=visit.action,
        call=turn.action if isinstance(turn.action, ToolCall) else None,
        output=answers[-1] if answers else "",
        messages=[message.to_openai() for message in turn.messages_delta],
        completion=decoder.completion(turn),
        thoughts=[decoder.completion(thought) for thought in turn.thoughts],
        returned=visit.returned,
        advantage=visit.advantage,
        peers=others.count(turn.state_key) if turn.state_key else 0,
    )


def _visit(episode: Episode, position: int, credit: Credit) -> Visit:
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


def _seen(value: Any) -> Seen:
    rest: dict[str, str] = {}
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
        rest = {key: _data(part) for key, part in parts.items() if key not in ("text", "image")}
    return Seen(text_of(value), image_of(value) is not None, rest)


def _data(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=partial(np.array2string, threshold=20))


def _one(connection: Connection, run_id: str, episode_id: str) -> tuple[Mapping[Any, Any], Episode]:
    where = matching(run_id, {"id": episode_id})
    columns = select(_EPISODES.c.pk, _EPISODES.c.iteration, _EPISODES.c.phase).where(*where)
    row = connection.execute(columns).mappings().first()
    if row is None:
        raise UnknownNameError("episode", episode_id, ())
    return row, read_chunk(connection, where, 0)[0][1]


def _group(connection: Connection, run_id: str, group_id: str) -> list[Episode]:
    where: EpisodeFilter = {"group_id": group_id}
    last, found = 0, list[Episode]()
    while len(found) < _MOST and (chunk := read_chunk(connection, matching(run_id, where), last)):
        last = chunk[-1][0]
        found += [episode for _, episode in chunk]
    return sorted(found[:_MOST], key=lambda episode: episode.id)


def _neighbours(connection: Connection, run_id: str, pk: int) -> tuple[str | None, str | None]:
    ids = select(_EPISODES.c.id).where(_EPISODES.c.run_id == run_id)
    older = ids.where(_EPISODES.c.pk < pk).order_by(_EPISODES.c.pk.desc()).limit(1)
    newer = ids.where(_EPISODES.c.pk > pk).order_by(_EPISODES.c.pk).limit(1)
    return connection.execute(older).scalar(), connection.execute(newer).scalar()
