"""The learning curve as a picture."""

from __future__ import annotations

from agentgym.evaluation.rates import Rate
from agentgym.training.evaluations import load_evaluation
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
    colours = ("#2a7f3f", "#b5541c", "#7a4fa3")
    for (name, points), colour in zip(_heldout(run).items(), colours, strict=False):
        axes.errorbar(
            [at for at, _ in points],
            [100 * rate.estimate for _, rate in points],
            yerr=[
                [100 * (rate.estimate - rate.low) for _, rate in points],
                [100 * (rate.high - rate.estimate) for _, rate in points],
            ],
            fmt="o--",
            color=colour,
            capsize=4,
            label=name,
        )
    axes.set(xlabel="iterations of reinforcement", ylabel="success, %", ylim=(0, 100))
    axes.set_title(f"{run.name}: {run.recipe.environment.id}", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(run.learning_curve)


def _heldout(run: Run) -> dict[str, list[tuple[int, Rate]]]:
    """Return, for each part of the held-out tasks, the rates at the iterations where it was evaluated."""
    curves: dict[str, list[tuple[int, Rate]]] = {}
    for label, iteration in (("before", 0), ("after", run.recipe.iterations)):
        if (evaluation := load_evaluation(run, label)) is None:
            continue
        for group in evaluation.groups or [None]:
            name = "held-out tasks" if group is None else f"held-out tasks, {group}"
            curves.setdefault(name, []).append((iteration, evaluation.rate(group)))
    return curves
