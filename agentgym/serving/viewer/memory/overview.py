"""What the page of a memory shows: its items with what they are worth, and how it grew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import func, select

from agentgym.core.memory import ItemKind, ItemStatus
from agentgym.memory.credit.evidence import read_rollouts
from agentgym.memory.credit.lift import NOTHING_KNOWN, Interval, Lift, lifts
from agentgym.memory.store.entries import Entry
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.rows import table
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import ExposureRow, OutcomeRow, StatusRow, VersionRow
from agentgym.serving.viewer.charts import Chart, Points

PAGE = 100
"""Items on a page."""
_ORDER = (
    ItemStatus.ACTIVE,
    ItemStatus.SHADOW,
    ItemStatus.CANDIDATE,
    ItemStatus.QUARANTINED,
    ItemStatus.RETIRED,
)
_UNITS = (("seconds", 1.0, 180.0), ("minutes", 60.0, 10800.0), ("hours", 3600.0, 259200.0))


@dataclass(frozen=True, slots=True)
class Item:
    """A version in the list."""

    entry: Entry
    lift: Lift
    """Shrunk towards 0 (`Lift.shrunk`)."""

    @property
    def interval(self) -> Interval:
        """Where the lift lies, 90 %."""
        return self.lift.interval()


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the pages of a memory are made from."""

    items: Sequence[Item]
    """The most used first: by status, then lift."""
    growth: Mapping[str, Points]
    """Versions in each status over time."""
    chart: Chart

    def chosen(self, kind: str, status: str, name: str) -> list[Item]:
        """Return the items of a kind and a status, with a part of their name; empty words match everything."""
        return [
            item
            for item in self.items
            if kind in ("", item.entry.kind)
            and status in ("", item.entry.status)
            and name.casefold() in f"{item.entry.name}\n{item.entry.key_text}".casefold()
        ]

    @property
    def statuses(self) -> dict[str, int]:
        """How many versions are in each status."""
        counts = Counter(item.entry.status.value for item in self.items)
        return {status.value: counts[status.value] for status in _ORDER if counts[status.value]}

    @property
    def kinds(self) -> list[str]:
        """The kinds that there are."""
        there = {item.entry.kind for item in self.items}
        return [kind.value for kind in ItemKind if kind in there]


class Overviews:
    """Overviews by memory, made anew when something was written: exposures are many, and lifts need all of them."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[tuple[int, ...], Overview]] = {}

    def of(self, store: MemoryStore) -> Overview:
        """Return a memory's overview."""
        state = _state(store)
        made = self._made.get(store.database.where)
        if made is None or made[0] != state:
            made = self._made[store.database.where] = state, _overview(store)
        return made[1]


def _state(store: MemoryStore) -> tuple[int, ...]:
    """Return how many rows there are: they are only ever added to."""
    kinds = (VersionRow, StatusRow, ExposureRow, OutcomeRow)
    with store.database.reading() as connection:
        return tuple(
            connection.execute(select(func.count()).select_from(table(kind))).scalar_one() for kind in kinds
        )


def _overview(store: MemoryStore) -> Overview:
    found = lifts(read_rollouts(EvidenceLog(store)))
    items = [Item(entry, found.get(entry.version, NOTHING_KNOWN).shrunk()) for entry in store.entries()]
    items.sort(key=lambda item: (_ORDER.index(item.entry.status), -item.lift.mean, item.entry.name))
    growth, unit = _growth(store)
    names = tuple(growth)
    chart = Chart("Growth", names, f"Versions by status, in {unit} since the first", along=unit, counts=True)
    return Overview(items, growth, chart)


def _growth(store: MemoryStore) -> tuple[dict[str, Points], str]:
    log = table(StatusRow)
    query = select(log.c.at, log.c.sha, log.c.state).order_by(log.c.at, log.c.seq)
    with store.database.reading() as connection:
        rows = connection.execute(query).all()
    if not rows:
        return {}, "seconds"
    first, last = (datetime.fromisoformat(rows[place][0]) for place in (0, -1))
    span = (last - first).total_seconds()
    unit, seconds = next(((name, one) for name, one, most in _UNITS if span <= most), ("days", 86400.0))
    states, counts = dict[str, str](), Counter[str]()
    points: dict[str, list[tuple[float, float]]] = {}
    for at, changes in groupby(rows, key=lambda row: row[0]):
        for _, sha, state in changes:
            counts[states.get(sha, "")] -= 1
            counts[state] += 1
            states[sha] = state
        x = (datetime.fromisoformat(at) - first).total_seconds() / seconds
        for status in counts:
            if status:
                points.setdefault(status, []).append((x, float(counts[status])))
    return {status.value: points[status.value] for status in _ORDER if status.value in points}, unit
