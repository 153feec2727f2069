"""Real runs: they learn, repeat themselves exactly, and survive being killed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agentgym.core.errors import CheckpointError, UsageError
from agentgym.policies.models import load_model
from agentgym.store.folders import alone_in
from agentgym.store.store import Store
from agentgym.training.recipe import Recipe, load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from agentgym.training.turns import TurnTable
from tests.halting import end_at_its_moment, start

TINY = [
    "iterations=5",
    "environment.max_turns=6",
    "environment.options={difficulty = 'easy', task_types = ['place'], expert = 'searcher'}",
    "model.scratch.hidden_size=32",
    "model.scratch.layers=1",
    "model.scratch.heads=2",
    "model.scratch.kv_heads=1",
    "model.scratch.head_dim=16",
    "model.scratch.mlp_size=64",
    "warm_start.demonstrations=30",
    "warm_start.epochs=2",
    "rollout.tasks=3",
    "rollout.group_size=4",
    "evaluation.heldout_tasks=4",
    "regularisers=[{name = 'kl', coefficient = 0.01}]",
    "advantage.invalid_action_penalty=0.1",  # a gradient even where every rollout fails
    "schedule.minibatches=1",
]


def tiny(*more: str) -> Recipe:
    return load_recipe("quickstart", [*TINY, *more])


def metrics(run: Run) -> str:
    return (run.path / "metrics.jsonl").read_text("utf-8")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run.create(tiny(), tmp_path_factory.mktemp("runs"), "reference")
    Trainer(run).train()
    return run


def test_a_run_leaves_what_it_promises(finished: Run) -> None:
    assert [line["iteration"] for line in finished.lines()] == [0, 1, 2, 3, 4]
    assert all(line["grad_norm"] > 0 for line in finished.lines()), (
        "a run that learns nothing tests no resuming"
    )
    assert finished.lines("timing.jsonl")[0]["sampled_tokens_per_s"] > 0
    assert finished.recipe == tiny()
    assert json.loads((finished.path / "versions.json").read_text())["torch"]
    assert finished.learning_curve.read_bytes()[:4] == b"\x89PNG"
    assert finished.evaluation("before").is_file()
    assert finished.evaluation("after").is_file()
    with Store(finished.store) as store:
        episodes = list(store.episodes("reference", iteration=4))
        assert len(episodes) == 12
        assert all(turn.policy_version == 4 for episode in episodes for turn in episode.turns)
        logged = {(metric.iteration, metric.name): metric.value for metric in store.metrics("reference")}
        lessons = store.lessons("reference", *(episode.id for episode in episodes))
    turns = TurnTable.from_episodes(episodes)
    advantage_R = finished.recipe.advantage(turns)
    for place, episode in enumerate(episodes):
        (lesson,) = lessons[episode.id]
        own = advantage_R[turns.trajectory_R == place]
        assert lesson.iteration == 4
        assert np.allclose(lesson.advantage_R, own)
        tokens = [turn.trained_tokens for turn in episode.turns]
        assert np.allclose(lesson.advantage_N, np.repeat(own, tokens))
        seen = np.isfinite(lesson.ratio_N)
        assert np.allclose(lesson.ratio_N[seen], 1, atol=0.05)  # one step: the policy is its sampler
        assert np.all(seen)
    for line in finished.lines():
        assert all(
            logged[int(line["iteration"]), name] == value
            for name, value in line.items()
            if name != "iteration"
        )


def test_sampler_and_trainer_agree(finished: Run) -> None:
    assert all(line["gap_max"] < 1e-4 for line in finished.lines())
    assert finished.lines()[0]["kl"] == pytest.approx(0.0, abs=1e-6)


def test_the_same_seed_gives_the_same_metrics_file(finished: Run, tmp_path: Path) -> None:
    again, other = Run.create(tiny(), tmp_path, "again"), Run.create(tiny("seed=1"), tmp_path, "other")
    Trainer(again).train()
    Trainer(other).train()
    assert metrics(again) == metrics(finished)
    assert metrics(other) != metrics(finished)


@pytest.mark.parametrize("lines", [1, 3])
def test_killed_and_resumed_equals_never_killed(finished: Run, tmp_path: Path, lines: int) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(tiny().to_toml(), "utf-8")
    command = ["train", "--runs", str(tmp_path)]
    process = start([*command, str(recipe), "--name", "reference", "--no-check"], moment=f"{lines:>4}  ")
    run = Run(tmp_path / "reference")
    end_at_its_moment(process, signal.SIGKILL)
    assert len(run.lines()) == lines
    resume = [sys.executable, "-m", "agentgym.cli", *command, "--resume", "reference"]
    subprocess.run(resume, check=True, stdout=subprocess.DEVNULL)
    assert metrics(run) == metrics(finished)
    for name in ("before", "after"):
        pairs = [
            [
                (r["task_id"], r["outcome"], r["turns"])
                for r in json.loads(path.read_text())["evaluation"]["results"]
            ]
            for path in (run.evaluation(name), finished.evaluation(name))
        ]
        assert pairs[0] == pairs[1]
    with Store(run.store) as store:
        assert len(list(store.episodes("reference"))) == 60


def test_a_run_that_another_process_carries_out_is_left_alone(tmp_path: Path) -> None:
    run = Run.create(tiny(), tmp_path, "tiny")
    with alone_in(run.path), pytest.raises(UsageError, match=f"{run.path} is in use by another process"):
        Trainer(run).train()
    assert not run.store.exists()


def test_a_truncated_checkpoint_is_refused(finished: Run, tmp_path: Path) -> None:
    broken = Run(tmp_path / "reference")
    shutil.copytree(finished.path, broken.path)
    weights = broken.checkpoints / "000005" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"last good one is .*000004"):
        Trainer(broken).train()


def test_a_checkpoint_is_an_ordinary_model_directory(finished: Run) -> None:
    loaded = load_model(finished.checkpoints / "000005")
    assert loaded.tokenizer.decode(loaded.tokenizer.encode("go to fridge 1")) == "go to fridge 1"
