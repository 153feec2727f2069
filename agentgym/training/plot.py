"""The learning curve as a picture."""

from __future__ import annotations

from agentgym.evaluation.report import Evaluation
from agentgym.training.run import Run

SMOOTHING = 5
"""Iterations in the moving average of the training success."""


def plot_learning_curve(run: Run) -> None:
    """Draw success in training over iterations, and the evaluations with their intervals, to a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = run.lines()
    iterations = [line["iteration"] + 1 for line in lines]
    success = [100 * line["success"] for line in lines]
    smooth = [
        sum(success[max(0, i + 1 - SMOOTHING) : i + 1]) / min(i + 1, SMOOTHING) for i in range(len(success))
    ]
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(iterations, success, color="#9db4c8", linewidth=1, label="training tasks, sampled")
    axes.plot(iterations, smooth, color="#1f5a8a", linewidth=2, label=f"mean of {SMOOTHING} iterations")
    for name, color in (("seen", "#2a7f3f"), ("unseen", "#b5541c")):
        points = [
            (at, evaluation.rate(name))
            for label, at in (("before", 0), ("after", run.recipe.iterations))
            if run.evaluation(label).is_file()
            and (evaluation := Evaluation.load(run.evaluation(label))).has_group(name)
        ]
        if points:
            axes.errorbar(
                [at for at, _ in points],
                [100 * rate.estimate for _, rate in points],
                yerr=[
                    [100 * (rate.estimate - rate.low) for _, rate in points],
                    [100 * (rate.high - rate.estimate) for _, rate in points],
                ],
                fmt="o--",
                color=color,
                capsize=4,
                label=f"held-out tasks, {name}",
            )
    axes.set(xlabel="iterations of reinforcement", ylabel="success, %", ylim=(0, 100))
    axes.set_title(f"{run.name}: {run.recipe.environment.id}", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(run.learning_curve)
