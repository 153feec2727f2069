"""A run whose rollouts are vLLM's."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgym.store.store import Store
from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.test_trainer import TINY

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]


def test_the_household_world_is_learned_through_vllm(tmp_path: Path) -> None:
    """Every token's log-probability is the trainer's, after each of the updates."""
    settings = [*TINY, "iterations=3", "model.scratch.head_dim=32", "rollout.engine=vllm"]
    run = Run.create(load_recipe("quickstart", settings), tmp_path / "runs", "through-vllm")
    Trainer(run).train()
    lines = run.lines()
    assert [line["iteration"] for line in lines] == [0, 1, 2]
    assert all(line["gap_max"] < 1e-3 and line["grad_norm"] > 0 for line in lines)
    with Store(run.store) as store:
        for iteration in range(3):
            played = store.episodes(run.name, iteration=iteration, phase="train")
            assert {turn.policy_version for episode in played for turn in episode.turns} == {iteration}
