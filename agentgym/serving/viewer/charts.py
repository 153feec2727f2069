"""Curves as SVG, drawn by matplotlib on this machine: a page needs no script to show them."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentgym.core.errors import ConfigError

Theme = Literal["light", "dark"]
Points = Sequence[tuple[float, float]]
"""Iteration, or another measure of how far it is, and value."""

_INK = {"light": ("#57606a", "#d8dee4"), "dark": ("#9aa4b2", "#2c333d")}
"""Of letters, of the grid."""
_LINES = {
    "light": ("#2563eb", "#d97706", "#0d9488", "#be185d"),
    "dark": ("#60a5fa", "#fbbf24", "#2dd4bf", "#f472b6"),
}
_lock = threading.Lock()
"""matplotlib's settings are the process's."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What one chart shows."""

    title: str
    names: tuple[str, ...]
    """Figures, as the store calls them."""
    about: str
    share: bool = False
    """Whether the figures are between 0 and 1."""
    log: bool = False
    along: str = "iteration"
    """What the figures go along with."""
    counts: bool = False
    """Whether the figures are whole numbers."""


CHARTS: Mapping[str, Chart] = {
    "success": Chart("Success", ("success",), "Share of the iteration's episodes that solved their task", share=True),
    "reward": Chart("Reward", ("reward",), "Mean score of an episode"),
    "kl": Chart("KL", ("kl",), "Divergence from the reference policy, nats per token"),
    "entropy": Chart("Entropy", ("entropy",), "Of the policy at the trained tokens, nats"),
    "clip": Chart("Clip share", ("clip_share",), "Share of tokens whose ratio was clipped"),
    "rates": Chart(
        "Token rates",
        ("sampled_tokens_per_s", "learned_tokens_per_s"),
        "Tokens per second, sampled and learned from",
    ),
    "gap": Chart(
        "Sampler gap",
        ("gap_mean", "gap_max"),
        "Difference of log-probabilities between sampler and trainer, nats",
        log=True,
    ),
    "signal": Chart(
        "No-signal groups", ("no_signal_share",), "Share of groups whose rollouts all scored the same", share=True
    ),
    "turns": Chart("Turns", ("turns",), "Mean length of an episode"),
}  # fmt: skip


def draw(chart: Chart, series: Mapping[str, Points], theme: Theme) -> bytes:
    """Return a chart as SVG."""

    def plot(axes: Any) -> None:
        ink, grid = _INK[theme]
        for line, name in zip(_LINES[theme], chart.names, strict=False):
            points = series.get(name, ())
            label = name.replace("_", " ")
            marker = "o" if len(points) == 1 else None
            axes.plot(*_columns(points), color=line, linewidth=1.8, label=label, marker=marker)
        if chart.share:
            axes.set_ylim(-0.02, 1.02)
        elif chart.log:
            axes.set_yscale("symlog", linthresh=1e-8)
        axes.set_xlabel(chart.along, color=ink, fontsize=9)
        axes.xaxis.get_major_locator().set_params(integer=chart.along == "iteration")
        if chart.counts:
            axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(color=grid, linewidth=0.8)
        axes.tick_params(colors=ink, labelsize=9, length=0)
        axes.spines[:].set_visible(False)
        if len(chart.names) > 1:
            above: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": len(chart.names)}
            axes.legend(frameon=False, labelcolor=ink, fontsize=9, borderpad=0.2, **above)

    return _figure((4.8, 2.3), plot)


def draw_sparkline(points: Points, theme: Theme) -> bytes:
    """Return a line without axes, from 0 to 1."""

    def plot(axes: Any) -> None:
        line = _LINES[theme][0]
        x, y = _columns(points)
        axes.plot(x, y, color=line, linewidth=2)
        axes.fill_between(x, y, color=line, alpha=0.15, linewidth=0)
        axes.set_ylim(-0.05, 1.05)
        axes.set_axis_off()

    return _figure((1.7, 0.42), plot)


def _columns(points: Points) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y if math.isfinite(y) else math.nan for _, y in points]


def _figure(size: tuple[float, float], plot: Callable[[Any], None]) -> bytes:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "Charts need the package matplotlib: pip install 'agentgym-harness[serve]'."
        ) from error
    stream = io.BytesIO()
    with (
        _lock,
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "agentgym", "font.family": "sans-serif"}),
    ):
        figure = Figure(figsize=size, layout="constrained")
        plot(figure.subplots())
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return stream.getvalue()
