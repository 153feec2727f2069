"""What a listing of a memory shows of each version, without its body."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from agentgym.core.memory import ItemKind, ItemStatus


class Entry(NamedTuple):
    """A version and where it stands."""

    version: str
    identity: str
    """Of its item; see `MemoryItem.identity`."""
    kind: ItemKind
    space: str
    name: str
    env_id: str
    key_text: str
    status: ItemStatus


def current(entries: Iterable[Entry], statuses: Collection[ItemStatus]) -> list[Entry]:
    """Return the latest version of each item among those in one of `statuses`, in the order of `entries`.

    So an item with a candidate for its next version is still there in its active one.
    """
    latest = {entry.identity: entry for entry in entries if entry.status in statuses}
    return sorted(latest.values(), key=lambda entry: (entry.kind, entry.space, entry.name))


def sees(space: str, other: str) -> bool:
    """Return whether an agent in `space` sees what is in the space `other`: its own, and those above it.

    >>> sees("team/alice", "team"), sees("team", "team/alice"), sees("team/alice", "")
    (True, False, True)
    """
    return other in ("", space) or space.startswith(f"{other}/")


def visible(entries: Iterable[Entry], space: str, env_id: str = "") -> list[Entry]:
    """Return what an agent in a space sees while it is in a world; of all worlds where none is named."""
    return [
        entry
        for entry in entries
        if sees(space, entry.space) and (not env_id or entry.env_id in ("", env_id))
    ]
