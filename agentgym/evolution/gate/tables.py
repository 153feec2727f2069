"""What a gate found, for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agentgym.evaluation.tables import plain
from agentgym.evolution.gate.gate import Admission
from agentgym.evolution.gate.report import Check, GateReport, Standing

_COLOURS = {
    Standing.PASSED: "green",
    Standing.FAILED: "red",
    Standing.UNDECIDED: "yellow",
    Standing.NOT_APPLICABLE: "dim",
    Standing.FAULT: "magenta",
    Standing.NOT_RUN: "dim",
}


def gate_table(report: GateReport) -> Table:
    """Return a row for each stage: what it came to, the figure, and why."""
    table = Table(title=plain(f"{report.kind.value} {report.name} ({report.version[:8]}) before the gate"))
    for heading in ("stage", "", "figure", "why"):
        table.add_column(heading, justify="right" if heading == "figure" else "left")
    for check in report.checks:
        standing = Text(check.standing.value, style=_COLOURS[check.standing])
        table.add_row(check.name, standing, _figure(check), plain(check.reason))
    return table


def admission_table(admission: Admission) -> RenderableType:
    """Return the table of the stages, and the item's status before and after."""
    status = f"{admission.before.value} -> {admission.after.value}"
    return Group(gate_table(admission.report), Text(f"status: {status}", style="bold"))


def _figure(check: Check) -> str:
    if check.figure is None:
        return ""
    return (
        f"{check.figure:+.3f} of {check.n}" if check.name == "replay" else f"{check.figure:.2f} of {check.n}"
    )
