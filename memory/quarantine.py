"""Quarantine follows lineage: what is wrong with an item may be wrong with everything that was made from it."""

from __future__ import annotations

from agentgym.core.memory import ItemStatus
from agentgym.memory.store.store import MemoryStore

AUTHOR = "quarantine"
"""Who the status log of a descendant says decided."""


def quarantine(store: MemoryStore, version: str, *, reason: str, author: str = "") -> list[str]:
    """Put a version and all that was made from it or under it into quarantine; return what was not there yet.

    The version itself comes first, so that a call that was interrupted can be repeated. Retired items are
    included: they might come back. Raises `UsageError` for a version that is not in the memory.
    """
    statuses = _statuses(store)
    made = [each for each in sorted(store.descendants(version)) if not _held(statuses, each)]
    changed = [] if _held(statuses, version) else [version]
    for each in changed:
        store.set_status(each, ItemStatus.QUARANTINED, reason=reason, author=author)
    for each in made:
        store.set_status(each, ItemStatus.QUARANTINED, reason=f"made from {version}: {reason}", author=AUTHOR)
    return [*changed, *made]


def release(store: MemoryStore, version: str, *, reason: str, author: str = "") -> list[str]:
    """Let a version out of quarantine, and what was there on its account alone; return what was let out.

    All of them are candidates again, to be admitted anew. What was put there on its own account stays, and so
    does what has another ancestor in quarantine, the version itself included: then nothing is let out.
    """
    statuses = _statuses(store)
    if not _held(statuses, version) or _suspect(store, version, statuses):
        return []
    order = [version, *sorted(store.descendants(version), key=lambda each: len(store.ancestors(each)))]
    released: list[str] = []
    for each in order:
        inherited = each != version and _held(statuses, each) and store.status_log(each)[-1].author == AUTHOR
        if each == version or (inherited and not _suspect(store, each, statuses)):
            why = reason if each == version else f"{version} is released: {reason}"
            store.set_status(each, ItemStatus.CANDIDATE, reason=why, author=author or AUTHOR)
            statuses[each] = ItemStatus.CANDIDATE
            released.append(each)
    return released


def _statuses(store: MemoryStore) -> dict[str, ItemStatus]:
    return {entry.version: entry.status for entry in store.entries()}


def _held(statuses: dict[str, ItemStatus], version: str) -> bool:
    return statuses.get(version) is ItemStatus.QUARANTINED


def _suspect(store: MemoryStore, version: str, statuses: dict[str, ItemStatus]) -> bool:
    return any(_held(statuses, ancestor) for ancestor in store.ancestors(version))
