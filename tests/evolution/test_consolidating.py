"""A library says everything once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from agentgym.agents.follower.procedure import TASKS
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


def test_a_skill_that_says_something_besides_stays(store: MemoryStore) -> None:
    steps = procedure("walk {x}", "go to {x}")
    said = put(store, "walk", f"Doors open inwards.\n\n{steps}")
    put(store, "travel", procedure("walk {x}", "go to {x}", "visit {x}"))
    assert gone(store) == {}
    large = put(store, "tour", f"doors open  inwards.\n{procedure('walk {x}', 'go to {x}', 'see {x}')}")
    assert gone(store) == {said: large}


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


def test_a_merged_skill_keeps_what_both_say_besides_their_procedures(store: MemoryStore) -> None:
    def told(*parts: str) -> str:
        return "\n\n".join(parts)

    go, see, ride = (procedure(f"{verb} {{x}}", f"{verb} to {{x}}") for verb in ("go", "see", "ride"))
    put(store, "walk", told("Doors open inwards.", go, "Mind the\nstep.", see), run="one")
    open_end = "When the task reads: fly to {x}\nWings are needed."
    put(store, "walk", told(ride, "mind  the step.", open_end), run="other")
    ((item, _),) = merges(store, "", ENV)
    assert item.body == told("mind  the step.", "Doors open inwards.", go, ride, see, open_end)
    assert item.key_text.splitlines() == ["for tasks", TASKS, "go to {x}", "ride to {x}", "see to {x}"]


def test_files_of_both_are_kept(store: MemoryStore) -> None:
    for run, wish, files in (
        ("one", "go to {x}", {"map.txt": b"old", "a.txt": b"a"}),
        ("other", "see {x}", {"map.txt": b"new", "b.txt": b"b"}),
    ):
        item = MemoryItem(
            ItemKind.SKILL, "walk", "for tasks", procedure("walk {x}", wish), env_id=ENV, files=files
        )
        sources = (Source(f"{run}/e", "task", Split.TRAIN),)
        version = store.put(item, Provenance(ItemOrigin.EVOLVED, "test", sources))
        store.set_status(version, ItemStatus.ACTIVE, reason="test")
    ((merged, _),) = merges(store, "", ENV)
    assert dict(merged.files) == {"map.txt": b"new", "a.txt": b"a", "b.txt": b"b"}


def test_where_two_runs_differ_the_later_one_is_believed_and_one_run_is_not_merged(
    store: MemoryStore,
) -> None:
    put(store, "walk", procedure("walk {x}", "go to {x}"), run="one")
    put(store, "walk", procedure("run {x}", "go to {x}"), run="one")
    assert merges(store, "", ENV) == []
    put(store, "walk", procedure("fly {x}", "go to {x}"), run="other")
    ((item, _),) = merges(store, "", ENV)
    assert item.body == procedure("fly {x}", "go to {x}")
