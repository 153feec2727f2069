"""TensorBoard's own reader finds a run's figures."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any

from agentgym.training.curves import Curves
from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.test_trainer import TINY


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    reader: Any = import_module("tensorboard.backend.event_processing.event_accumulator")
    found: Any = reader.EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_every_training_run_has_its_curves(tmp_path: Path) -> None:
    run = Run.create(load_recipe("quickstart", [*TINY, "evaluation.heldout_tasks=0"]), tmp_path, "run")
    Trainer(run).train()
    found = scalars(run.curves)
    lines = run.lines()
    assert len(lines) == run.recipe.iterations
    for name in ("success", "entropy"):
        steps, values = zip(*found[f"metrics/{name}"], strict=True)
        assert steps == tuple(range(len(lines)))
        assert all(
            math.isclose(value, line[name], rel_tol=1e-6) for value, line in zip(values, lines, strict=True)
        )
    assert len(found["timing/rollout_s"]) == len(lines)


def test_what_is_done_again_replaces_what_was_left_behind(tmp_path: Path) -> None:
    with Curves(tmp_path, 0) as curves:
        for iteration in range(4):
            curves.log(iteration, metrics={"loss": float(iteration), "none": math.nan})
    with Curves(tmp_path, 2) as curves:
        curves.log(2, metrics={"loss": 20.0})
        curves.log(3, metrics={"loss": 30.0})
    assert scalars(tmp_path) == {"metrics/loss": [(0, 0.0), (1, 1.0), (2, 20.0), (3, 30.0)]}
