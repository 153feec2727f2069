"""The page's charts as SVG, drawn by matplotlib on this machine: a page needs no script and no network for them."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

from agentgym.core.errors import ConfigError
from agentgym.evolution.figures import BatchFigures, ItemFigures

INK, GRID = "#7b8594", "#8884"
"""Of letters and of the grid: to be read on light and on dark."""
COLOURS = {
    "active": "#0d9488",
    "shadow": "#d97706",
    "candidate": "#7c6fd6",
    "retired": "#94a3b8",
    "quarantined": "#be185d",
}
LINES = ("#3b82f6", "#d97706", "#0d9488")
HATCHES = ("", "//", "..", "xx")
MOST_ITEMS = 30


def growth(batches: Sequence[BatchFigures]) -> str:
    """Return how many items there are after each batch, by kind and status."""
    kinds = sorted({kind for each in batches for kind in each["sizes"]})

    def plot(axes: Any) -> None:
        numbers = [each["batch"] for each in batches]
        floor = [0.0] * len(batches)
        for kind, hatch in zip(kinds, (HATCHES * len(kinds))[: len(kinds)], strict=True):
            for status, colour in COLOURS.items():
                heights = [float(each["sizes"].get(kind, {}).get(status, 0)) for each in batches]
                if any(heights):
                    label = f"{kind}, {status}"
                    axes.bar(
                        numbers, heights, bottom=floor, color=colour, hatch=hatch, label=label, width=0.7
                    )
                    floor = [below + height for below, height in zip(floor, heights, strict=True)]
        axes.set_ylabel("items", color=INK, fontsize=9)

    return _figure(plot, legend=bool(kinds))


def success(batches: Sequence[BatchFigures]) -> str:
    """Return the success of each batch's episodes with its 95 % interval."""
    played = [each for each in batches if each["success"] is not None]

    def plot(axes: Any) -> None:
        rates = [each["success"] or 0.0 for each in played]
        below = [rate - (each["low"] or 0.0) for rate, each in zip(rates, played, strict=True)]
        above = [(each["high"] or 0.0) - rate for rate, each in zip(rates, played, strict=True)]
        numbers = [each["batch"] for each in played]
        axes.errorbar(
            numbers, rates, yerr=[below, above], color=LINES[0], marker="o", capsize=3, linewidth=1.8
        )
        axes.set_ylim(-0.02, 1.02)
        axes.set_ylabel("success", color=INK, fontsize=9)

    return _figure(plot)


def convergence(batches: Sequence[BatchFigures]) -> str:
    """Return EGL, over all batches and over the last ones, the survival of what was made, and whether more helps."""

    def plot(axes: Any) -> None:
        numbers = [each["batch"] for each in batches]
        egl = [math.nan if each["egl"] is None else each["egl"] for each in batches]
        window = [math.nan if each["egl_window"] is None else each["egl_window"] for each in batches]
        axes.plot(numbers, egl, color=LINES[0], marker="o", linewidth=1.8, label="EGL")
        axes.plot(numbers, window, color=LINES[1], marker="o", linewidth=1.8, label="EGL of the last batches")
        shares = axes.twinx()
        alive = [each["survival"] for each in batches]
        more = [each["next_helps"] for each in batches]
        for values, style, label in ((alive, ":", "survival"), (more, "--", "P(library helps more)")):
            shares.plot(numbers, values, color=LINES[2], linestyle=style, marker=".", label=label)
            axes.plot([], [], color=LINES[2], linestyle=style, label=f"{label} (right)")
        shares.set_ylim(-0.02, 1.02)
        shares.tick_params(colors=INK, labelsize=9, length=0)
        shares.spines[:].set_visible(False)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("made for each use", color=INK, fontsize=9)

    return _figure(plot, legend=True)


def lifts(items: Sequence[ItemFigures]) -> str:
    """Return the lift of the items that something is known of, the best first, with 90 % intervals."""
    known = sorted((each for each in items if each["lift"] is not None), key=lambda each: each["lift"] or 0.0)
    shown = known[-MOST_ITEMS:]

    def plot(axes: Any) -> None:
        for place, each in enumerate(shown):
            mean = each["lift"] or 0.0
            low, high = (mean if each[name] is None else each[name] for name in ("low", "high"))
            colour = COLOURS[each["status"]]
            axes.plot([low, high], [place, place], color=colour, linewidth=2)
            axes.plot([mean], [place], color=colour, marker="o")
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(shown)), [f"{each['name']} {each['version'][:6]}" for each in shown])
        axes.set_xlabel("lift, in units of reward", color=INK, fontsize=9)

    return _figure(plot, height=0.8 + 0.26 * max(len(shown), 1), batches=False)


def _figure(
    plot: Callable[[Any], None], *, legend: bool = False, height: float = 2.6, batches: bool = True
) -> str:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "Charts need the package matplotlib: pip install 'agentgym-harness[serve]'."
        ) from error
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "agentgym", "font.family": "sans-serif"}):
        figure = Figure(figsize=(6.4, height), layout="constrained")
        axes: Any = figure.subplots()
        plot(axes)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=INK, labelsize=9, length=0)
        axes.spines[:].set_visible(False)
        if batches:
            axes.set_xlabel("batch", color=INK, fontsize=9)
            axes.xaxis.get_major_locator().set_params(integer=True)
        if legend:
            axes.legend(
                frameon=False, labelcolor=INK, fontsize=8, loc="center left", bbox_to_anchor=(1.12, 0.5)
            )
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    return svg[svg.index("<svg") :]
