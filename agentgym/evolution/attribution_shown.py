"""An attribution as a table for the terminal, and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agentgym.evaluation.rates import Rate
from agentgym.evolution.attribution import Attribution, Component, Effect, named

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _GREEN = "#1f5a8a", "#2a7f3f"


def attribution_table(found: Attribution) -> RenderableType:
    """Return the success of every combination, the effects with 95 % intervals, and what the run lacks."""
    table = Table(title=f"{found.run}: held-out success and what it is owed to", title_justify="left")
    for name in ("", "points", "95 % interval", "p"):
        table.add_column(name, justify="left" if not name else "right")
    for cell in found.cells:
        rate = cell.rate
        interval = f"{100 * rate.low:.1f} to {100 * rate.high:.1f}"
        table.add_row(f"with {named(cell.on)}", f"{100 * rate.estimate:.1f}", interval, "")
    table.add_section()
    for effect in found.effects:
        interval = f"{100 * effect.low:+.1f} to {100 * effect.high:+.1f}"
        told = "green" if effect.low > 0 else "red" if effect.high < 0 else ""
        table.add_row(
            effect.name, f"{100 * effect.estimate:+.1f}", interval, f"{effect.p_value:.3f}", style=told
        )
    lines = [f"{found.tasks} tasks, the same with the same seeds for every combination"]
    if found.lost:
        lines.append(f"{found.lost} episodes left out that lack a score in some combination")
    lines += [f"no {component}: {why}" for component, why in found.lacking.items()]
    return Group(table, *map(Text, lines))


def plot_attribution(found: Attribution, path: Path) -> None:
    """Draw the combinations' success and the effects, with their intervals, to a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = max(len(found.cells), len(found.effects))
    figure = Figure(figsize=(10, 1.6 + 0.34 * rows), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _bars(left, [named(cell.on) for cell in found.cells], [_points(cell.rate) for cell in found.cells], _BLUE)
    left.set(xlabel="held-out success, %", xlim=(0, 100))
    _bars(
        right,
        [effect.name for effect in found.effects],
        [_points(effect) for effect in found.effects],
        _GREEN,
    )
    right.set(xlabel="effect, points")
    right.axvline(0, color="black", linewidth=0.8)
    lacking = ", ".join(component for component in Component if component in found.lacking)
    title = f"{found.run}: {found.env_id}, {found.tasks} tasks" + (f"; no {lacking}" if lacking else "")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path)


def _bars(
    axes: Axes, names: Sequence[str], points: Sequence[tuple[float, float, float]], colour: str
) -> None:
    """Draw named values, each with the ends of its interval, from top to bottom."""
    places = list(range(len(names)))
    values = [value for value, _, _ in points]
    reach = [[value - low for value, low, _ in points], [high - value for value, _, high in points]]
    axes.errorbar(values, places, xerr=reach, fmt="o", color=colour, capsize=4)
    axes.set_yticks(places, names, fontsize=8)
    axes.invert_yaxis()
    axes.grid(alpha=0.25, axis="x")


def _points(figure: Rate | Effect) -> tuple[float, float, float]:
    return 100 * figure.estimate, 100 * figure.low, 100 * figure.high
