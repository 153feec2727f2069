"""Which episodes are behind what a memory holds."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from agentgym.core.memory import Stance
from agentgym.memory.store.rows import chunks, table
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import SourceRow


def made_from(store: MemoryStore, version: str) -> frozenset[str]:
    """Return the episodes that a version, or one that it was made from or under, was made from.

    Raises `UsageError` for a version that is not in the memory.
    """
    source = table(SourceRow)
    lineage = [version, *sorted(store.ancestors(version))]
    found: set[str] = set()
    with store.database.reading() as connection:
        for chunk in chunks(lineage):
            query = select(source.c.episode_id).where(source.c.sha.in_(chunk))
            found.update(connection.execute(query.where(source.c.stance == Stance.SOURCE.value)).scalars())
    return frozenset(found)


def task_keys(store: MemoryStore) -> frozenset[str]:
    """Return the content (`Task.key`) of every task that an episode behind some item played."""
    key = table(SourceRow).c.task_key
    with store.database.reading() as connection:
        return frozenset(connection.execute(select(key).distinct()).scalars())


def made_of(store: MemoryStore, episodes: Collection[str]) -> frozenset[str]:
    """Return the versions that were made from one of the episodes, or from or under such a version."""
    source = table(SourceRow)
    query = select(source.c.sha, source.c.episode_id).where(source.c.stance == Stance.SOURCE.value)
    with store.database.reading() as connection:
        direct = {sha for sha, episode in connection.execute(query) if episode in episodes}
    return frozenset(direct).union(*(store.descendants(version) for version in sorted(direct)))


def resting_on(store: MemoryStore, keys: Collection[str]) -> dict[str, str]:
    """Return the versions that rest on episodes of the tasks with these contents, each with one of them.

    Versions made from or under such ones are among them.
    """
    source = table(SourceRow)
    with store.database.reading() as connection:
        rows = connection.execute(select(source.c.sha, source.c.task_key))
        direct = {sha: key for sha, key in rows if key in keys}
    found: dict[str, str] = {}
    for version, key in sorted(direct.items()):
        found.update((made, key) for made in store.descendants(version))
    return found | direct
