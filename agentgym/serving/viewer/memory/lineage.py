"""The lineage of a version as a picture: what it was made from to the left, what was made from it to the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, select

from agentgym.memory.store.rows import table
from agentgym.memory.store.tables import EdgeRow

STEPS = 4
"""Generations that are shown to each side."""
MOST = 60
"""Versions that are shown."""
WIDTH, HEIGHT, ACROSS, DOWN = 190, 34, 250, 48
"""Of a box, and from one box to the next, in pixels."""


class Edge(NamedTuple):
    """What a version has to do with an older one."""

    newer: str
    older: str
    relation: str


class Box(NamedTuple):
    """A version in the picture."""

    version: str
    x: int
    y: int


class Line(NamedTuple):
    """A relation in the picture, from the older version to the newer."""

    x1: int
    y1: int
    x2: int
    y2: int
    edge: Edge


@dataclass(frozen=True, slots=True)
class Lineage:
    """The picture."""

    boxes: Sequence[Box]
    lines: Sequence[Line]
    width: int
    height: int
    cut: bool
    """Whether there is more than is shown."""


def lineage(connection: Connection, version: str) -> Lineage:
    """Return the picture of a version's relatives: generation by generation, at most `STEPS` to each side."""
    levels, edges = {version: 0}, set[Edge]()
    cut = False
    for way in (-1, 1):
        front = [version]
        for step in range(1, STEPS + 2):
            found = _edges(connection, front, older=way < 0)
            fresh = sorted({edge.older if way < 0 else edge.newer for edge in found} - set(levels))
            if step > STEPS or len(levels) + len(fresh) > MOST:
                cut |= bool(fresh)
                break
            edges |= found
            levels |= dict.fromkeys(fresh, way * step)
            front = fresh
    return _drawn(levels, [edge for edge in sorted(edges) if {edge.newer, edge.older} <= levels.keys()], cut)


def _edges(connection: Connection, versions: Sequence[str], *, older: bool) -> set[Edge]:
    row = table(EdgeRow)
    near = row.c.src if older else row.c.dst
    query = select(row.c.src, row.c.dst, row.c.relation).where(near.in_(versions))
    return {Edge(*found) for found in connection.execute(query)}


def _drawn(levels: Mapping[str, int], edges: Sequence[Edge], cut: bool) -> Lineage:
    first = min(levels.values())
    columns: dict[int, list[str]] = {}
    for version, level in levels.items():
        columns.setdefault(level - first, []).append(version)
    tallest = max(map(len, columns.values()))
    boxes = {
        version: Box(version, column * ACROSS, place * DOWN + (tallest - len(members)) * DOWN // 2)
        for column, members in columns.items()
        for place, version in enumerate(members)
    }
    lines = [
        Line(old.x + WIDTH, old.y + HEIGHT // 2, new.x, new.y + HEIGHT // 2, edge)
        for edge in edges
        for old, new in [(boxes[edge.older], boxes[edge.newer])]
    ]
    width = (max(columns) + 1) * ACROSS - (ACROSS - WIDTH)
    return Lineage(list(boxes.values()), lines, width, tallest * DOWN - (DOWN - HEIGHT), cut)
