"""A policy from scratch learns to call the shop's tools: from the expert, and then from what comes of its calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgym.evaluation.compare import compare
from agentgym.evaluation.report import Evaluation
from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_reinforcement_raises_success_on_select(tmp_path: Path) -> None:
    settings = ["iterations=8", "evaluation.every=8", "evaluation.heldout_tasks=0"]
    run = Run.create(load_recipe(str(ROOT / "benchmarks/backoffice.toml"), settings), tmp_path, "shop")
    Trainer(run).train()
    before, after = (Evaluation.load(run.evaluation(f"select-{n:06d}")) for n in (0, 8))
    assert before.rate().estimate > 0.3
    gained = compare(before, after).difference
    assert gained.low > 0.0
    assert gained.estimate > 0.1
