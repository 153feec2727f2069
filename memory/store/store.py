"""`MemoryStore`: memory items, what became of them, and the states of the whole."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, func, select

from agentgym.core.errors import UsageError
from agentgym.core.memory import (
    INHERITING,
    ItemKind,
    ItemOrigin,
    ItemStatus,
    Link,
    MemoryItem,
    Provenance,
    Relation,
    Source,
    Stance,
)
from agentgym.core.task import Split
from agentgym.database import Database
from agentgym.memory.store.entries import Entry, current
from agentgym.memory.store.rows import (
    blob_rows,
    chunks,
    digest,
    insert_new,
    item_row,
    just_after,
    now,
    read_items,
    require,
    table,
    version_row,
)
from agentgym.memory.store.snapshots import snapshot_sha
from agentgym.memory.store.tables import (
    MEMORY,
    BlobRow,
    EdgeRow,
    ItemRow,
    SnapshotRow,
    SourceRow,
    StatusRow,
    VersionRow,
)


class StatusChange(NamedTuple):
    """An entry of the log of a version."""

    status: ItemStatus
    reason: str
    author: str
    at: str
    """UTC, ISO 8601."""


class MemoryStore:
    """A memory in a SQLite file or, by its URL, in PostgreSQL.

    Nothing is ever changed or deleted: versions are immutable, the rest is logs. Each call that writes is one
    transaction. Threads may share a store, and other processes may write to the same one. Raises `UsageError` for a
    database that is not a memory of this version, `StoreFault` when it cannot be used.
    """

    def __init__(self, location: str | Path, *, create: bool = True) -> None:
        """Open the memory at a path or a `postgresql://` URL; its tables are made where `create` is true."""
        self.database = Database(location, MEMORY, create=create)

    def close(self) -> None:
        """Close the connections."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def put(self, item: MemoryItem, provenance: Provenance | None = None) -> str:
        """Write a version and return its hash; see `put_all`."""
        return self.put_all([(item, provenance or Provenance())])[0]

    def put_all(self, written: Sequence[tuple[MemoryItem, Provenance]]) -> list[str]:
        """Write versions in one transaction and return their hashes.

        A new one is a candidate. One that is there already keeps its status and gains the sources and links.
        Raises `LeakError` for an item derived from a task that agents are evaluated on, `UsageError` for a link to
        a version that is not in the memory; then nothing is written.
        """
        for _, provenance in written:
            for source in provenance.sources:
                source.check()
        items, at = [item for item, _ in written], now()
        with self.database.writing() as connection:
            insert_new(connection, ItemRow, map(item_row, items))
            insert_new(connection, BlobRow, blob_rows(items))
            insert_new(connection, VersionRow, (version_row(*each, at) for each in written))
            _add_provenance(connection, ((item.version, provenance) for item, provenance in written))
            _add_first_statuses(connection, (item.version for item in items), at)
        return [item.version for item in items]

    def add_evidence(self, version: str, *sources: Source) -> None:
        """Note episodes that a version rests on, or that speak for or against it. Raises as `put_all`."""
        for source in sources:
            source.check()
        with self.database.writing() as connection:
            _add_provenance(connection, [(version, Provenance(sources=sources))])

    def link(self, version: str, *links: Link) -> None:
        """Note what a version has to do with others. Raises `UsageError` for one that is not in the memory."""
        with self.database.writing() as connection:
            _add_provenance(connection, [(version, Provenance(links=links))])

    def get(self, version: str) -> MemoryItem:
        """Return a version; raises `UsageError` where there is none of this hash."""
        return self.get_all([version])[version]

    def get_all(self, versions: Sequence[str]) -> dict[str, MemoryItem]:
        """Return versions by hash; raises `UsageError` where one is not there."""
        with self.database.reading() as connection:
            found = read_items(connection, versions)
            require(connection, set(versions) - set(found))
        return found

    def provenance(self, version: str) -> Provenance:
        """Return where a version comes from, with all evidence since."""
        source, edge, row = table(SourceRow), table(EdgeRow), table(VersionRow)
        with self.database.reading() as connection:
            require(connection, [version])
            wrote = connection.execute(select(row.c.origin, row.c.author).where(row.c.sha == version)).one()
            sources = connection.execute(select(source).where(source.c.sha == version).order_by(source.c.seq))
            links = connection.execute(select(edge).where(edge.c.src == version).order_by(edge.c.seq))
            return Provenance(
                ItemOrigin(wrote.origin),
                wrote.author,
                tuple(
                    Source(each.episode_id, each.task_key, Split(each.split), Stance(each.stance))
                    for each in sources
                ),
                tuple(Link(Relation(each.relation), each.dst) for each in links),
            )

    def set_status(self, version: str, status: ItemStatus, *, reason: str, author: str = "") -> None:
        """Note where a version stands from now on, and why."""
        log = table(StatusRow)
        with self.database.writing() as connection:
            require(connection, [version])
            last = connection.execute(select(func.max(log.c.at)).where(log.c.sha == version)).scalar()
            at = now() if last is None else max(now(), just_after(last))  # clocks may go back
            insert_new(connection, StatusRow, [status_row(version, status, reason, author, at)])

    def status_log(self, version: str) -> list[StatusChange]:
        """Return every change of a version's status, the latest last."""
        log = table(StatusRow)
        query = select(log).where(log.c.sha == version).order_by(log.c.at, log.c.seq)
        with self.database.reading() as connection:
            require(connection, [version])
            rows = connection.execute(query)
            return [StatusChange(ItemStatus(row.state), row.reason, row.author, row.at) for row in rows]

    def entries(self, kinds: Collection[ItemKind] = tuple(ItemKind)) -> list[Entry]:
        """Return every version of the kinds, in the order of writing."""
        log, item, version = table(StatusRow), table(ItemRow), table(VersionRow)
        order = func.row_number().over(partition_by=log.c.sha, order_by=(log.c.at.desc(), log.c.seq.desc()))
        last = select(log.c.sha, log.c.state, order.label("place")).subquery()
        query = (
            select(version.c.sha, item, version.c.env_id, version.c.key_text, last.c.state)
            .join(item)
            .join(last, last.c.sha == version.c.sha)
            .where(last.c.place == 1, item.c.kind.in_([kind.value for kind in kinds]))
            .order_by(version.c.seq)
        )
        with self.database.reading() as connection:
            return [
                Entry(
                    row.sha,
                    row.id,
                    ItemKind(row.kind),
                    row.space,
                    row.name,
                    row.env_id,
                    row.key_text,
                    ItemStatus(row.state),
                )
                for row in connection.execute(query)
            ]

    def ancestors(self, version: str) -> set[str]:
        """Return the versions that this one was made from or under, directly or not: what harm it may inherit."""
        return self._reach(version, "src", "dst")

    def descendants(self, version: str) -> set[str]:
        """Return the versions that were made from or under this one, directly or not."""
        return self._reach(version, "dst", "src")

    def _reach(self, version: str, near: str, far: str) -> set[str]:
        edge = table(EdgeRow)
        inheriting = edge.c.relation.in_([relation.value for relation in INHERITING])
        first = select(edge.c[far].label("sha")).where(edge.c[near] == version, inheriting)
        reached = first.cte("reached", recursive=True)
        further = select(edge.c[far]).join(reached, edge.c[near] == reached.c.sha).where(inheriting)
        reached = reached.union(further)
        with self.database.reading() as connection:
            require(connection, [version])
            return set(connection.execute(select(reached.c.sha)).scalars()) - {version}

    def take_snapshot(self, versions: Iterable[str] | None = None, *, parent: str = "") -> str:
        """Note a state of the memory and return its hash, the same for the same members.

        Without `versions`: the latest active version of each item. Raises `UsageError` for versions or a parent
        that are not there.
        """
        if versions is None:
            versions = [entry.version for entry in current(self.entries(), [ItemStatus.ACTIVE])]
        members = sorted(set(versions))
        if parent:
            self.snapshot(parent)
        sha = snapshot_sha(members)
        row = {"sha": sha, "parent": parent, "members_json": json.dumps(members), "at": now()}
        with self.database.writing() as connection:
            require(connection, members)
            insert_new(connection, SnapshotRow, [row])
        return sha

    def snapshot(self, sha: str) -> list[str]:
        """Return the members of a snapshot; raises `UsageError` where there is none of this hash."""
        row = table(SnapshotRow)
        with self.database.reading() as connection:
            members = connection.execute(select(row.c.members_json).where(row.c.sha == sha)).scalar()
        if members is None:
            raise UsageError(f"There is no snapshot {sha!r} in the memory {self.database.where}.")
        return json.loads(members)


def _add_provenance(connection: Connection, written: Iterable[tuple[str, Provenance]]) -> None:
    pairs = [(version, provenance) for version, provenance in written]
    require(connection, (version for version, _ in pairs))
    require(connection, (link.version for _, provenance in pairs for link in provenance.links))
    episodes = (
        {
            "sha": version,
            "episode_id": source.episode,
            "task_key": source.task_key,
            "split": source.split.value,
            "stance": source.stance.value,
        }
        for version, provenance in pairs
        for source in provenance.sources
    )
    insert_new(connection, SourceRow, episodes)
    edges = (
        {"src": version, "dst": link.version, "relation": link.relation.value}
        for version, provenance in pairs
        for link in provenance.links
    )
    insert_new(connection, EdgeRow, edges)


def _add_first_statuses(connection: Connection, versions: Iterable[str], at: str) -> None:
    known = table(StatusRow).c.sha
    for chunk in chunks(dict.fromkeys(versions)):
        old = set(connection.execute(select(known).where(known.in_(chunk))).scalars())
        fresh = [version for version in chunk if version not in old]
        rows = (status_row(version, ItemStatus.CANDIDATE, "written", at=at) for version in fresh)
        insert_new(connection, StatusRow, rows)


def status_row(
    version: str, status: ItemStatus, reason: str, author: str = "", at: str | None = None
) -> dict[str, Any]:
    """Return the row of a change of status, at the present time unless told."""
    row = {"sha": version, "state": status.value, "reason": reason, "author": author, "at": at or now()}
    return {**row, "digest": digest(row)}
