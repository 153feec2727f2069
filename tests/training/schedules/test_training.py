"""SeeUPO end to end: real episodes, both forms, one optimiser step for each turn number."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.test_trainer import TINY

SEEUPO = [
    "advantage=batch_normalised",
    "schedule={name = 'sequential', order = 'reverse'}",
    "ratio=turn",
    "aggregation=turn_mean",
    # A policy of thirty demonstrations never succeeds: the length of its answers is what it learns from.
    "rewards=[{name = 'overlong', limit = 40, buffer = 39}]",
    "optimiser.lr=1e-3",
    "iterations=1",
    "warm_start.epochs=1",
    "evaluation.heldout_tasks=0",
]


@pytest.mark.parametrize("form", ["false", "true"])
def test_seeupo_trains(tmp_path: Path, form: str) -> None:
    settings = [
        setting for setting in TINY if not setting.startswith(("advantage.", "schedule.", "iterations"))
    ]
    recipe = load_recipe("quickstart", [*settings, *SEEUPO, f"as_published={form}"])
    run = Run.create(recipe, tmp_path, "seeupo")
    Trainer(run).train()
    (line,) = run.lines()
    assert line["grad_norm"] > 0
    assert line["advantage_abs"] > 0
    # Each token once, but for the last turns that stand in for those that a trajectory does not have.
    stand_ins = line["trained_tokens"] - line["sampled_tokens"]
    assert stand_ins >= 0 if form == "true" else stand_ins == 0
    assert line["kl"] != 0, "later turns were not learned from after earlier steps had moved the policy"
