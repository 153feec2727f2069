"""The learning curve: a PNG made of the run's metrics, finished or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgym.training.plot import plot_learning_curve
from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run

HEIGHT, WIDTH = 675, 1200


def picture(run: Run) -> bytes:
    plot_learning_curve(run)
    return run.learning_curve.read_bytes()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(load_recipe("quickstart"), tmp_path, "drawn")


def test_the_metrics_become_a_picture(run: Run) -> None:
    for iteration in range(8):
        run.append("metrics.jsonl", iteration, {"success": iteration / 10})
    drawn = picture(run)
    assert drawn[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(drawn[16:20], "big"), int.from_bytes(drawn[20:24], "big")) == (WIDTH, HEIGHT)
    run.append("metrics.jsonl", 8, {"success": 0.9})
    assert picture(run) != drawn, "another iteration is another curve"


def test_a_run_without_an_iteration_has_an_empty_picture(run: Run) -> None:
    assert picture(run)[:4] == b"\x89PNG"
