"""A library says everything once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from agentgym.core.memory import (
    ItemKind,
    ItemOrigin,
    ItemStatus,
    MemoryItem,
    Provenance,
    Relation,
    Source,
)
from agentgym.core.task import Split
from agentgym.evolution.consolidating import merges, retirements
from agentgym.memory.store.store import MemoryStore

ENV = "test/World-v0"


@pytest.fixture
def store(tmp_path: Path) -> Generator[MemoryStore]:
    with MemoryStore(tmp_path / "memory.db") as opened:
        yield opened


def put(
    store: MemoryStore,
    name: str,
    body: str,
    *,
    run: str = "one",
    status: ItemStatus = ItemStatus.ACTIVE,
    kind: ItemKind = ItemKind.SKILL,
) -> str:
    item = MemoryItem(kind, name, "for tasks", body, env_id=ENV)
    sources = (Source(f"{run}/e-{len(body)}", "task", Split.TRAIN),)
    version = store.put(item, Provenance(ItemOrigin.EVOLVED, "test", sources))
    store.set_status(version, status, reason="test")
    return version


def procedure(step: str, *wishes: str) -> str:
    return "\n".join([*(f"When the task reads: {wish}" for wish in wishes), "Steps:", f"1. {step}"])


def gone(store: MemoryStore) -> dict[str, str]:
    return {each.version: each.by for each in retirements(store, "", ENV)}


def test_an_active_version_takes_the_place_of_earlier_ones_and_one_on_trial_does_not(
    store: MemoryStore,
) -> None:
    old, new = put(store, "walk", "Walk."), put(store, "walk", "Walk on.")
    assert gone(store) == {old: new}
    put(store, "walk", "Run.", status=ItemStatus.SHADOW)
    assert gone(store) == {old: new}
    put(store, "walk", "Fly.", status=ItemStatus.CANDIDATE)
    assert gone(store) == {old: new}, "what the gate has not let in replaces nothing"


@pytest.mark.parametrize("kind", [ItemKind.SKILL, ItemKind.PRINCIPLE])
def test_of_two_that_read_the_same_the_older_stays(kind: ItemKind, store: MemoryStore) -> None:
    first = put(store, "walk", "Open  the door first.", kind=kind)
    second = put(store, "doors", "open the door FIRST.", kind=kind)
    put(store, "other", "Close the door.", kind=kind)
    assert gone(store) == {second: first}


def test_a_skill_whose_procedures_another_one_has_goes(store: MemoryStore) -> None:
    small = put(store, "walk", procedure("walk {x}", "go to {x}"))
    large = put(store, "travel", procedure("walk {x}", "go to {x}", "visit {x}"))
    put(store, "ride", procedure("ride {x}", "go to {x}"))
    assert gone(store) == {small: large}


def test_one_on_trial_is_no_reason_to_retire_an_active_one(store: MemoryStore) -> None:
    put(store, "walk", procedure("walk {x}", "go to {x}"))
    put(store, "travel", procedure("walk {x}", "go to {x}", "visit {x}"), status=ItemStatus.SHADOW)
    assert gone(store) == {}


def wishes(item: MemoryItem) -> Sequence[str]:
    return [line for line in item.body.splitlines() if line.startswith("When")]


def test_what_two_runs_have_written_under_one_name_becomes_one_version(store: MemoryStore) -> None:
    mine = put(store, "walk", procedure("walk {x}", "go to {x}", "visit {x}"), run="one")
    theirs = put(store, "walk", procedure("walk {x}", "go to {x}", "see {x}"), run="other")
    ((item, provenance),) = merges(store, "", ENV)
    assert wishes(item) == [f"When the task reads: {wish}" for wish in ("go to {x}", "see {x}", "visit {x}")]
    assert {(link.relation, link.version) for link in provenance.links} == {
        (Relation.MERGED, mine),
        (Relation.MERGED, theirs),
    }
    assert {source.episode.partition("/")[0] for source in provenance.sources} == {"one", "other"}
    merged = store.put(item, provenance)
    store.set_status(merged, ItemStatus.ACTIVE, reason="test")
    assert merges(store, "", ENV) == [], "once is enough"
    assert gone(store) == {mine: merged, theirs: merged}


def test_where_two_runs_differ_the_later_one_is_believed_and_one_run_is_not_merged(
    store: MemoryStore,
) -> None:
    put(store, "walk", procedure("walk {x}", "go to {x}"), run="one")
    put(store, "walk", procedure("run {x}", "go to {x}"), run="one")
    assert merges(store, "", ENV) == []
    put(store, "walk", procedure("fly {x}", "go to {x}"), run="other")
    ((item, _),) = merges(store, "", ENV)
    assert item.body == procedure("fly {x}", "go to {x}")
