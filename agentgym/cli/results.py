"""What a finished run has to show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from agentgym.evaluation.compare import compare
from agentgym.evaluation.tables import comparison_table, evaluation_table
from agentgym.training.evaluations import load_evaluation
from agentgym.training.run import Run


def run_data(run: Run) -> dict[str, Any]:
    """Return what `show_run` prints as JSON data."""
    parts = {name: load_evaluation(run, name) for name in ("before", "after")}
    before, after = parts["before"], parts["after"]
    compared = None if before is None or after is None else compare(before, after).to_data()
    return {
        "run": str(run.path),
        "model": str(_model(run)),
        "learning_curve": str(run.learning_curve),
        **{name: None if part is None else part.to_data() for name, part in parts.items()},
        "comparison": compared,
    }


def show_run(run: Run, out: Console) -> None:
    """Print the held-out evaluations before and after, their paired difference, and where the files are."""
    before, after = load_evaluation(run, "before"), load_evaluation(run, "after")
    for evaluation in (before, after):
        if evaluation is not None:
            out.print(evaluation_table(evaluation))
    if before is not None and after is not None:
        out.print(comparison_table(compare(before, after)))
    out.print(
        f"\nRun directory   {run.path}\nLearning curve  {run.learning_curve}\nModel           {_model(run)}",
        markup=False,
        soft_wrap=True,
    )


def _model(run: Run) -> Path:
    return run.checkpoints / f"{run.recipe.iterations:06d}"
