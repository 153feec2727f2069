"""The learning curves of a bench as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from agentgym.training.bench.measure import Measured


def plot_curves(measured: Mapping[str, Sequence[Measured]], threshold: float, path: Path) -> None:
    """Draw success on the `select` tasks over sampled tokens: the mean over seeds, and a band from the
    worst seed to the best.
    """
    from matplotlib import color_sequences
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = color_sequences["tab10"]
    for place, (label, runs) in enumerate(measured.items()):
        colour = colours[place % len(colours)]
        # Seeds are evaluated after the same iterations, by when each has sampled a little more or less.
        tokens_P = np.mean([[point.tokens for point in run.curve] for run in runs], axis=0)
        success_SP = 100 * np.array([[point.success for point in run.curve] for run in runs])
        axes.plot(tokens_P, success_SP.mean(0), "o-", markersize=3, color=colour, label=label)
        axes.fill_between(
            tokens_P, success_SP.min(0), success_SP.max(0), color=colour, alpha=0.15, linewidth=0
        )
    axes.axhline(100 * threshold, color="#777777", linewidth=1, linestyle=":", label="threshold")
    seeds = max(len(runs) for runs in measured.values())
    axes.set(xlabel="tokens sampled in training", ylabel="success on select tasks, %", ylim=(0, 100))
    axes.set_title(f"mean over {seeds} seeds; bands from the worst seed to the best", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path)
