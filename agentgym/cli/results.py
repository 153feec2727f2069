"""What a finished run has to show."""

from __future__ import annotations

from rich.console import Console

from agentgym.evaluation.compare import compare
from agentgym.evaluation.tables import comparison_table, evaluation_table
from agentgym.training.evaluations import load_evaluation
from agentgym.training.run import Run


def show_run(run: Run, out: Console) -> None:
    """Print the held-out evaluations before and after, their paired difference, and where the files are."""
    before, after = load_evaluation(run, "before"), load_evaluation(run, "after")
    for evaluation in (before, after):
        if evaluation is not None:
            out.print(evaluation_table(evaluation))
    if before is not None and after is not None:
        out.print(comparison_table(compare(before, after)))
    latest = f"{run.recipe.iterations:06d}"
    out.print(
        f"\nRun directory   {run.path}\n"
        f"Learning curve  {run.learning_curve}\n"
        f"Model           {run.checkpoints / latest}",
        markup=False,
        soft_wrap=True,
    )
