"""Leaderboards as a table for the terminal, and as a page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agentgym.evaluation.leaderboard import Board, Entry
from agentgym.evaluation.tables import plain

HEADINGS = (
    "place",
    "run",
    "agent",
    "success",
    "95 % interval",
    "pass^k",
    "tasks",
    "tokens",
    "beside the best",
)


def boards_table(boards: Sequence[Board]) -> RenderableType:
    """Return one table for each board."""
    shown: list[RenderableType] = []
    for board in boards:
        table = Table(title=plain(board.title))
        rows = [cells(entry) for entry in board.entries]
        filled = [place for place, _ in enumerate(HEADINGS) if any(row[place] for row in rows)]
        for heading in (HEADINGS[place] for place in filled):
            names = heading in ("run", "agent")  # long ones are broken, never cut
            table.add_column(heading, justify="left" if names else "right", overflow="fold")
        for row in rows:
            table.add_row(*(plain(row[place]) for place in filled))
        shown += [table, Text(plain(board.conditions).plain, style="dim")]
    return Group(*shown)


def cells(entry: Entry) -> tuple[str, ...]:
    """Return what stands in the row of an entry, in the order of `HEADINGS`."""
    rate, passes = entry.success, entry.passes
    missing = f" ({entry.missing} missing)" if entry.missing else ""
    first, last = entry.places
    return (
        f"{first}" if first == last else f"{first}\N{EN DASH}{last}",
        entry.run,
        entry.agent,
        f"{rate.estimate:.1%}",
        f"{100 * rate.low:.1f} to {100 * rate.high:.1f}",
        "" if passes is None else f"{passes.pass_hat_k.estimate:.1%} (k = {passes.k})",
        f"{rate.tasks}{missing}",
        f"{entry.tokens:.0f}",
        _beside_best(entry),
    )


def _beside_best(entry: Entry) -> str:
    if not entry.paired:
        return "not paired"
    return "" if entry.beside_best is None else entry.beside_best.value


def boards_page(boards: Sequence[Board]) -> str:
    """Return the boards as one HTML page without scripts; whatever names runs and agents have, they are text."""
    sections = "\n".join(map(_section, boards))
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Leaderboard</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style></head>\n'
        f"<body><main><h1>Leaderboard</h1>\n{sections}\n</main></body>\n</html>\n"
    )


def _section(board: Board) -> str:
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in (*HEADINGS, ""))
    rows = "\n".join(f"<tr>{_row(entry)}</tr>" for entry in board.entries)
    return (
        f"<section><h2>{escape(board.title)}</h2><p>{escape(board.conditions)}</p>\n"
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></section>"
    )


def _row(entry: Entry) -> str:
    place, run, *others = (escape(cell) for cell in cells(entry))
    rate = entry.success
    low, width = 100 * rate.low, 100 * (rate.high - rate.low)
    bar = (
        f'<svg width="200" height="14" viewBox="0 0 100 14" preserveAspectRatio="none" role="img" '
        f'aria-label="{100 * rate.estimate:.1f} %, interval {low:.1f} to {low + width:.1f} %">'
        f'<rect class="scale" y="6" width="100" height="2"/>'
        f'<rect class="interval" x="{low:.2f}" y="4" width="{width:.2f}" height="6"/>'
        f'<rect class="estimate" x="{100 * rate.estimate - 0.5:.2f}" y="1" width="1" height="12"/></svg>'
    )
    tail = "".join(f"<td>{cell}</td>" for cell in others)
    return f'<td>{place}</td><th scope="row">{run}</th>{tail}<td>{bar}</td>'


_STYLE = """
:root { color-scheme: light dark; --line: #8886; --mark: #3584e4; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: right; }
th[scope=row], td:nth-child(3), th:nth-child(2), th:nth-child(3) { text-align: left; }
p { opacity: .75; }
.scale { fill: var(--line); } .interval { fill: var(--mark); opacity: .5; } .estimate { fill: var(--mark); }
"""
