"""Quarantine over lineage, in both databases."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemOrigin, ItemStatus, Link, Provenance, Relation
from agentgym.memory.quarantine import quarantine, release
from agentgym.memory.store.store import MemoryStore
from tests.memory.making import principle


@dataclass
class Family:
    """root -> child -> grandchild; other and root -> shared; other supersedes root, which passes nothing on."""

    root: str
    other: str
    child: str
    grandchild: str
    shared: str


@pytest.fixture
def family(store: MemoryStore) -> Family:
    def put(name: str, *links: Link) -> str:
        return store.put(principle(name, f"About {name}."), Provenance(ItemOrigin.EVOLVED, links=links))

    root = put("root")
    other = put("other", Link(Relation.SUPERSEDES, root))
    child = put("child", Link(Relation.CONTEXT, root))
    grandchild = put("grandchild", Link(Relation.DERIVED, child))
    shared = put("shared", Link(Relation.MERGED, root), Link(Relation.MERGED, other))
    return Family(root, other, child, grandchild, shared)


def status(store: MemoryStore, version: str) -> ItemStatus:
    return store.status_log(version)[-1].status


def test_everything_made_from_it_goes_with_it(store: MemoryStore, family: Family) -> None:
    store.set_status(family.child, ItemStatus.ACTIVE, reason="helps")
    store.set_status(family.grandchild, ItemStatus.RETIRED, reason="old")
    held = quarantine(store, family.root, reason="poison", author="alice")
    assert held[0] == family.root
    assert set(held) == {family.root, family.child, family.grandchild, family.shared}
    assert status(store, family.other) is ItemStatus.CANDIDATE
    last = store.status_log(family.child)[-1]
    assert (last.status, last.reason) == (ItemStatus.QUARANTINED, f"made from {family.root}: poison")
    assert store.status_log(family.root)[-1].author == "alice"
    assert quarantine(store, family.root, reason="again") == []


def test_release_lets_out_what_was_held_on_its_account(store: MemoryStore, family: Family) -> None:
    quarantine(store, family.root, reason="poison")
    released = release(store, family.root, reason="false alarm")
    assert set(released) == {family.root, family.child, family.grandchild, family.shared}
    assert all(status(store, version) is ItemStatus.CANDIDATE for version in released)


def test_another_suspect_ancestor_holds_it(store: MemoryStore, family: Family) -> None:
    quarantine(store, family.root, reason="poison")
    quarantine(store, family.other, reason="poison too")
    assert set(release(store, family.root, reason="false alarm")) == {
        family.root,
        family.child,
        family.grandchild,
    }
    assert status(store, family.shared) is ItemStatus.QUARANTINED
    assert release(store, family.shared, reason="please") == []
    assert set(release(store, family.other, reason="false alarm")) == {family.other, family.shared}


def test_what_is_held_for_itself_stays_and_holds_its_own(store: MemoryStore, family: Family) -> None:
    quarantine(store, family.child, reason="a scan found something", author="scan")
    quarantine(store, family.root, reason="poison")
    assert set(release(store, family.root, reason="false alarm")) == {family.root, family.shared}
    assert status(store, family.child) is status(store, family.grandchild) is ItemStatus.QUARANTINED


def test_only_what_is_there_can_be_held(store: MemoryStore, family: Family) -> None:
    assert release(store, family.root, reason="nothing to do") == []
    with pytest.raises(UsageError, match="no version"):
        quarantine(store, "0" * 64, reason="")
