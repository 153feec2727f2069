"""Which episodes are behind what a memory holds, told the same by both databases."""

from __future__ import annotations

from agentgym.core.memory import Link, Provenance, Relation, Stance
from agentgym.memory.store.lineage import made_from, made_of, resting_on, task_keys
from agentgym.memory.store.store import MemoryStore
from tests.memory.making import principle, source


def test_the_sources_of_ancestors_are_behind_an_item(store: MemoryStore) -> None:
    first = store.put(principle("first"), Provenance(sources=(source(0),)))
    second = store.put(
        principle("second"), Provenance(sources=(source(1),), links=(Link(Relation.CONTEXT, first),))
    )
    third = store.put(principle("third"), Provenance(links=(Link(Relation.DERIVED, second),)))
    other = store.put(principle("other"), Provenance(links=(Link(Relation.CONFLICTS, first),)))
    zero, one = source(0).episode, source(1).episode
    assert made_from(store, third) == made_from(store, second) == {zero, one}
    assert made_from(store, first) == {zero}
    assert made_from(store, other) == set()
    assert made_of(store, {zero}) == {first, second, third}
    assert made_of(store, {one}) == {second, third}
    assert made_of(store, set()) == set()
    assert resting_on(store, {"task-0"}) == dict.fromkeys((first, second, third), "task-0")
    assert resting_on(store, {"task-0", "task-1"})[second] == "task-1"
    assert task_keys(store) == {"task-0", "task-1"}


def test_an_episode_that_only_speaks_for_an_item_has_not_made_it(store: MemoryStore) -> None:
    version = store.put(principle(), Provenance(sources=(source(0),)))
    told = source(1)
    store.add_evidence(version, type(told)(told.episode, told.task_key, told.split, Stance.CONFIRMS))
    assert made_from(store, version) == {source(0).episode}
    assert made_of(store, {told.episode}) == set()
    assert set(resting_on(store, {"task-1"})) == {version}
