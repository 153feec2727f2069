"""Parts that remember: their memories are saved with the weights, and a resumed run goes on with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agentgym.store.store import Store
from agentgym.training.advantages.tracker import Tracker
from agentgym.training.memory import Memories
from agentgym.training.recipe import Recipe, load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.test_trainer import TINY

SETTINGS = [
    *(line for line in TINY if not line.startswith("advantage.")),
    "advantage=tracker",
    "sampling=prioritised",
    "iterations=4",
    "rollout.tasks=8",
    "rollout.group_size=1",
    "evaluation.heldout_tasks=0",
    "checkpoint.keep=9",
]


def tracked() -> Recipe:
    return load_recipe("quickstart", SETTINGS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run.create(tracked(), tmp_path_factory.mktemp("runs"), "tracked")
    Trainer(run).train()
    return run


def test_memories_go_through_a_file(tmp_path: Path) -> None:
    first, second = Memories(), Memories()
    one, other = first.bind(tracked()), second.bind(tracked())
    assert isinstance(one.advantage, Tracker)
    assert isinstance(other.advantage, Tracker)
    one.advantage.take_in("a", [1.0, 0.0, 1.0], drift=0.0123)
    first.save(tmp_path)
    second.load(tmp_path)
    assert other.advantage.evidence("a") == one.advantage.evidence("a")
    assert Tracker().evidence("a").rate == 0.5


def test_a_recipe_of_forgetful_parts_writes_nothing(tmp_path: Path) -> None:
    memories = Memories()
    recipe = load_recipe("quickstart")
    assert memories.bind(recipe) == recipe
    memories.save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_tracker_knows_what_was_played_and_asks_how_far_the_policy_has_moved(finished: Run) -> None:
    trainer = Trainer(finished)
    trainer.memories.load(finished.checkpoints / "000004")
    tracker = trainer.recipe.advantage
    assert isinstance(tracker, Tracker)
    with Store(finished.store) as store:
        episodes = list(store.episodes("tracked", phase="train"))
        newest = {episode.task.id: episode.id for episode in episodes}
    assert dict(tracker.last_played) == newest
    for task in newest:
        played = sum(episode.task.id == task for episode in episodes)
        assert sum(tracker.evidence(task)) == pytest.approx(played, abs=1.2 + 0.125 * played)


def test_a_resumed_run_equals_one_that_never_stopped(finished: Run, tmp_path: Path) -> None:
    resumed = Run(tmp_path / "tracked")
    shutil.copytree(finished.path, resumed.path)
    for later in ("000003", "000004"):
        shutil.rmtree(resumed.checkpoints / later)
    Trainer(resumed).train()
    assert (resumed.path / "metrics.jsonl").read_text() == (finished.path / "metrics.jsonl").read_text()
    memories = [run.checkpoints / "000004" / "memory.json" for run in (finished, resumed)]
    assert memories[0].read_bytes() == memories[1].read_bytes()
