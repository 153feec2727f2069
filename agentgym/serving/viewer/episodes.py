"""What the page of an episode shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from agentgym.core.errors import UnknownNameError
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode, Turn
from agentgym.serving.viewer.credit import Credit, Marks, credit_of, marks_of
from agentgym.serving.viewer.groups import read_group, visit_of
from agentgym.serving.viewer.library import Library
from agentgym.serving.viewer.runs import run_row
from agentgym.serving.viewer.tokens import Completion, Decoder
from agentgym.serving.viewer.tones import tone
from agentgym.store.lessons import Lesson, read_lessons
from agentgym.store.queries import matching, read_chunk
from agentgym.store.tables import StoreRow

_EPISODES = StoreRow.metadata.tables["episodes"]


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
    ratio: float | None
    """Geometric mean of its tokens' importance ratios; None where training computed none."""
    clipped: int
    """Tokens that the clip left without gradient."""
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
    credit: Credit
    lessons: Sequence[Lesson]
    """What training made of it, in the order of its iterations."""
    slowest_s: float
    """Of all turns, to draw times to scale."""
    older: str | None
    newer: str | None
    """The neighbours in the order of writing."""


def episode_page(library: Library, name: str, run_id: str, episode_id: str) -> EpisodePage:
    """Return the page of an episode; raises `UnknownNameError` and as `Library.reading`."""
    with library.reading(name) as connection:
        config = json.loads(run_row(connection, run_id)["config_json"])
        row, episode = _one(connection, run_id, episode_id)
        group = read_group(connection, run_id, episode.group_id)
        if all(member.id != episode.id for member in group):
            group = [*group, episode]
        lessons = read_lessons(connection, run_id, [member.id for member in group])
        older, newer = _neighbours(connection, run_id, row["pk"])
    credit, decoder = credit_of(group, config, lessons), Decoder(library.folder(name))
    own = lessons.get(episode.id, ())
    marks = marks_of(episode, own[0]) if own else None
    others = [turn.state_key for member in group if member.id != episode.id for turn in member.turns]
    steps = [
        _step(episode, position, credit, decoder, None if marks is None else marks[position], others)
        for position in range(len(episode.turns))
    ]
    return EpisodePage(
        episode=episode,
        iteration=row["iteration"],
        phase=row["phase"],
        steps=steps,
        final=_seen(episode.final_observation),
        credit=credit,
        lessons=own,
        slowest_s=max((sum(turn.timing.values()) for turn in episode.turns), default=0.0),
        older=older,
        newer=newer,
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


def _step(
    episode: Episode,
    position: int,
    credit: Credit,
    decoder: Decoder,
    marks: Sequence[Marks] | None,
    others: Sequence[str],
) -> Step:
    turn = episode.turns[position]
    visit = visit_of(episode, position, credit)
    *thoughts, completion = (
        decoder.completion(part, mark, visit.tone)
        for part, mark in zip(turn.completions, marks or [None] * len(turn.completions), strict=True)
    )
    answers = [message.content for message in turn.messages_delta if message.role == "assistant"]
    return Step(
        position=position,
        turn=turn,
        seen=_seen(turn.observation),
        action=visit.action,
        call=turn.action if isinstance(turn.action, ToolCall) else None,
        output=answers[-1] if answers else "",
        messages=[message.to_openai() for message in turn.messages_delta],
        completion=completion,
        thoughts=thoughts,
        ratio=None if marks is None else _mean_ratio(marks),
        clipped=0 if marks is None else int(sum(mark.clipped_N.sum() for mark in marks)),
        returned=visit.returned,
        advantage=visit.advantage,
        peers=others.count(turn.state_key) if turn.state_key else 0,
    )


def _mean_ratio(marks: Sequence[Marks]) -> float | None:
    logs = np.log(np.concatenate([mark.ratio_N[np.isfinite(mark.ratio_N)] for mark in marks]))
    return float(np.exp(logs.mean())) if len(logs) else None


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


def _neighbours(connection: Connection, run_id: str, pk: int) -> tuple[str | None, str | None]:
    ids = select(_EPISODES.c.id).where(_EPISODES.c.run_id == run_id)
    older = ids.where(_EPISODES.c.pk < pk).order_by(_EPISODES.c.pk.desc()).limit(1)
    newer = ids.where(_EPISODES.c.pk > pk).order_by(_EPISODES.c.pk).limit(1)
    return connection.execute(older).scalar(), connection.execute(newer).scalar()
