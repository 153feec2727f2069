"""What the page of one version shows: its content, its history, its relatives, and the episodes that had it at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from agentgym.core.errors import UsageError
from agentgym.core.memory import MemoryItem, Provenance
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.rows import table
from agentgym.memory.store.store import MemoryStore, StatusChange
from agentgym.memory.store.tables import CheckRow, ExposureRow, ItemRow, OutcomeRow, VersionRow
from agentgym.serving.viewer.memory.lineage import Lineage, lineage
from agentgym.serving.viewer.memory.overview import Item, Overview

PAGE = 100
"""Episodes on a page."""


class Shown(NamedTuple):
    """An episode that had the version as a candidate."""

    episode: str
    """Its name in the memory, such as `RUN/EPISODE`."""
    shown: bool
    probability: float
    used: bool | None
    reward: float | None
    """None: it has no score."""


class Side(NamedTuple):
    """The episodes in which a version was shown, or withheld."""

    episodes: int
    reward: float | None
    """Their mean."""


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Everything on the page."""

    item: Item
    content: MemoryItem
    created: str
    provenance: Provenance
    log: Sequence[StatusChange]
    checks: Sequence[CheckRow]
    versions: Sequence[tuple[str, str]]
    """All versions of the item, with when they were written."""
    names: Mapping[str, str]
    """Of the versions in the picture."""
    picture: Lineage
    sides: Mapping[bool, Side]
    """What came of the episodes where it was shown, and where it was withheld."""
    episodes: Sequence[Shown]
    more: str | None
    """The episode after which the next page begins."""


def item_page(store: MemoryStore, overview: Overview, version: str, after: str) -> ItemPage:
    """Return the page of a version, its episodes after `after`; raises `UsageError` where there is none."""
    content = store.get(version)
    item = next((item for item in overview.items if item.entry.version == version), None)
    if item is None:
        raise UsageError(f"The version {version} was written a moment ago; load the page again.")
    with store.database.reading() as connection:
        picture = lineage(connection, version)
        versions = _versions(connection, content.identity)
        names = names_of(connection, [box.version for box in picture.boxes])
        sides = _sides(connection, version)
        episodes = _episodes(connection, version, after)
    return ItemPage(
        item=item,
        content=content,
        created=dict(versions)[version],
        provenance=store.provenance(version),
        log=store.status_log(version),
        checks=EvidenceLog(store).rows(CheckRow, sha=version),
        versions=versions,
        names=names,
        picture=picture,
        sides=sides,
        episodes=episodes[:PAGE],
        more=episodes[PAGE - 1].episode if len(episodes) > PAGE else None,
    )


def names_of(connection: Connection, versions: Sequence[str]) -> dict[str, str]:
    """Return the names of versions, without those that there are not."""
    item, row = table(ItemRow), table(VersionRow)
    query = select(row.c.sha, item.c.name).join_from(row, item).where(row.c.sha.in_(versions))
    return {row.sha: row.name for row in connection.execute(query)}


def had_at_hand(connection: Connection, episodes: Sequence[str]) -> list[Any]:
    """Return the exposures of an episode, whatever it is called, in the order of relevance."""
    row = table(ExposureRow)
    return list(connection.execute(select(row).where(row.c.episode_id.in_(episodes)).order_by(row.c.rank)))


def _versions(connection: Connection, identity: str) -> list[tuple[str, str]]:
    row = table(VersionRow)
    query = select(row.c.sha, row.c.created).where(row.c.item_id == identity).order_by(row.c.seq)
    return [(sha, created) for sha, created in connection.execute(query)]


def _sides(connection: Connection, version: str) -> dict[bool, Side]:
    row, outcome = table(ExposureRow), table(OutcomeRow)
    query = (
        select(row.c.shown, func.count(), func.avg(outcome.c.reward))
        .join(outcome, outcome.c.episode_id == row.c.episode_id, isouter=True)
        .where(row.c.sha == version)
        .group_by(row.c.shown)
    )
    return {bool(shown): Side(count, mean) for shown, count, mean in connection.execute(query)}


def _episodes(connection: Connection, version: str, after: str) -> list[Shown]:
    row, outcome = table(ExposureRow), table(OutcomeRow)
    query = (
        select(row.c.episode_id, row.c.shown, row.c.probability, row.c.used, outcome.c.reward)
        .join(outcome, outcome.c.episode_id == row.c.episode_id, isouter=True)
        .where(row.c.sha == version, row.c.episode_id > after)
        .order_by(row.c.episode_id)
        .limit(PAGE + 1)
    )
    return [Shown(*found) for found in connection.execute(query)]
