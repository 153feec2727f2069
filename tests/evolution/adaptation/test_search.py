"""The search finds the setting that is right, does the same again, goes on where it was stopped, and looks at no
held-out task."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgym.core.errors import InferenceFault, LeakError, UsageError
from agentgym.core.memory import ItemKind
from agentgym.core.task import Split, Task
from agentgym.evolution.adaptation.genome import Adaptation
from agentgym.evolution.adaptation.ledger import Ledger
from agentgym.evolution.adaptation.lifetimes import Lifetimes, fitness
from agentgym.evolution.adaptation.search import Candidate, Found, Search, pareto_weights
from agentgym.evolution.adaptation.varying import ScriptedRewriter, vary_memory
from agentgym.memory.store.store import MemoryStore
from tests.evolution.adaptation.conftest import SecretSuite, library, lifetimes

TRAIN, SELECT, HELDOUT = (SecretSuite().tasks(split) for split in ("train", "select", "heldout"))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[tuple[MemoryStore, str]]:
    store, snapshot = library(tmp_path)
    with store:
        yield store, snapshot


def search(
    lived: Lifetimes, ledger: Path, *, steps: int = 24, seed: int = 3, stop_after: int | None = None
) -> Found:
    def on_step(step: int, best: Candidate) -> None:
        if step == stop_after:
            raise KeyboardInterrupt

    made = Search(
        lived, ScriptedRewriter(), Ledger(ledger), TRAIN, SELECT, steps=steps, seed=seed, on_step=on_step
    )
    return asyncio.run(made.find(Adaptation()))


@pytest.mark.parametrize("seed", [0, 1])
def test_it_finds_what_helps(memory: tuple[MemoryStore, str], tmp_path: Path, seed: int) -> None:
    """Principles tell the words, cases lie about them: only who is shown principles and no cases opens the doors."""
    found = search(lifetimes(*memory), tmp_path / "ledger", seed=seed)
    best = found.best.adaptation
    assert (found.start.select, found.best.select, found.gain) == (0.0, 1.0, 1.0)
    assert best.k > 0
    assert ItemKind.PRINCIPLE in best.kinds
    assert found.low > 0
    assert found.candidates[0].train == 1.0
    assert found.kept >= 1


def test_without_anything_to_find_the_start_is_kept(tmp_path: Path) -> None:
    found = search(lifetimes(None), tmp_path / "ledger", steps=6)
    assert found.best.adaptation == Adaptation()
    assert (found.gain, found.kept, len(found.candidates)) == (0.0, 0, 1)
    assert found.low < 0 < found.high


def test_the_same_again_and_from_wherever_it_was_stopped(
    memory: tuple[MemoryStore, str], tmp_path: Path
) -> None:
    whole = search(lifetimes(*memory), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        search(lifetimes(*memory), tmp_path / "cut", stop_after=7)
    cut = (tmp_path / "cut").read_bytes()
    assert 0 < len(cut) < len((tmp_path / "whole").read_bytes())
    (tmp_path / "cut").write_bytes(cut[:-9])  # killed in mid-line
    assert search(lifetimes(*memory), tmp_path / "cut") == whole
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()
    played = (tmp_path / "whole").read_bytes()
    assert search(lifetimes(*memory), tmp_path / "whole") == whole
    assert (tmp_path / "whole").read_bytes() == played, "nothing is played twice"
    assert search(lifetimes(*memory), tmp_path / "other", seed=4).model_dump() != whole.model_dump()


def test_no_heldout_task_is_looked_at(memory: tuple[MemoryStore, str], tmp_path: Path) -> None:
    search(lifetimes(*memory), tmp_path / "ledger")
    lines = [json.loads(line) for line in (tmp_path / "ledger").read_text().splitlines()]
    assert {line["split"] for line in lines if "split" in line} == {"train", "select"}
    with pytest.raises(LeakError, match="got tasks of heldout"):
        asyncio.run(lifetimes(*memory).live(Adaptation(), HELDOUT))
    with pytest.raises(LeakError, match="got tasks of select, train"):
        asyncio.run(lifetimes(*memory).live(Adaptation(), [TRAIN[0], SELECT[0]]))


def test_what_is_known_of_a_train_task_says_nothing_of_a_select_task(tmp_path: Path) -> None:
    """Their content is the same in this world, so that their keys are."""
    assert TRAIN[0].key == SELECT[0].key
    ledger = Ledger(tmp_path / "ledger")
    ledger.add_lifetimes(Adaptation(), [(TRAIN[0], [True])])
    assert Ledger(tmp_path / "ledger").lifetime(Adaptation(), TRAIN[0]) == [True]
    assert ledger.lifetime(Adaptation(), SELECT[0]) is None


def test_a_lost_attempt_is_no_failure(memory: tuple[MemoryStore, str], tmp_path: Path) -> None:
    def faulty(task: Task) -> bool:
        return task.seed == 2

    found = search(lifetimes(*memory, faulty=faulty), tmp_path / "ledger")
    assert (found.best.select, found.select_tasks) == (1.0, 5)
    with pytest.raises(InferenceFault, match="No attempt at any of the 6 tasks could be scored"):
        search(lifetimes(*memory, faulty=lambda _: True), tmp_path / "none")


def test_later_attempts_count_more() -> None:
    assert fitness([True, False, False]) == pytest.approx(1 / 6)
    assert fitness([False, True, True]) == pytest.approx(5 / 6)
    assert fitness([True]) == 1.0


def test_weights_are_geppas() -> None:
    even = {"a": 0.5, "b": 0.5}
    assert pareto_weights([even]) == [2]
    assert pareto_weights([even, even]) == [2, 0], "the later equal is dominated"
    # What counts is where a candidate is best, not how it does elsewhere.
    assert pareto_weights([{"a": 1.0, "b": 0.0}, even, {"a": 1.0, "b": 0.4}]) == [1, 1, 0]


def test_a_variation_of_the_memory_changes_one_thing() -> None:
    parent = Adaptation(k=2, kinds=(ItemKind.CASE,))
    for seed in range(50):
        child = vary_memory(parent, random.Random(seed))
        own, other = child.model_dump(), parent.model_dump()
        assert sum(own[name] != other[name] for name in own) == 1
        assert vary_memory(Adaptation(), random.Random(seed)).k > 0


def test_equal_adaptations_have_one_key_and_nonsense_is_refused() -> None:
    one = Adaptation(kinds=(ItemKind.SKILL, ItemKind.CASE))
    assert one.key == Adaptation(kinds=(ItemKind.CASE, ItemKind.SKILL)).key != Adaptation().key
    assert Adaptation.read(one.model_dump_json(), "x") == one
    with pytest.raises(UsageError, match="here is no adaptation: k: "):
        Adaptation.read('{"k": -1}', "here")
    with pytest.raises(UsageError, match="here is no adaptation: retriever"):
        Adaptation.read('{"retriever": "magic"}', "here")


def test_splits_are_those_of_the_tasks() -> None:
    assert {task.split for task in (*TRAIN, *SELECT)} == {Split.TRAIN, Split.SELECT}
