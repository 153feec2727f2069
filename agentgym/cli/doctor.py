"""`agentgym doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from agentgym.cli.console import console, print_json, working
from agentgym.cli.options import AsJson

if TYPE_CHECKING:
    from agentgym.cli.diagnosis import Finding


def doctor(as_json: AsJson = False) -> None:
    """Say what agentgym can use of this machine, and what would mend the rest.

    Example: agentgym doctor
    """
    from agentgym.cli.diagnosis import State, diagnose

    with working("Looking"):
        findings = list(diagnose())
    if as_json:
        print_json([finding.to_json() for finding in findings])
        return
    out = console()
    out.print(_table(findings))
    missing = [finding for finding in findings if finding.state is State.MISSING]
    if missing:
        out.print(f"\n{len(missing)} of {len(findings)} are missing; only what you use need be there.")


def _table(findings: list[Finding]) -> Table:
    from agentgym.cli.diagnosis import State

    table = Table(box=None)
    table.add_column("", width=7)
    table.add_column("feature", no_wrap=True)
    table.add_column("for, what was seen, and what mends it", overflow="fold")
    for finding in findings:
        colour = "green" if finding.state is State.OK else "yellow"
        lines = [Text(finding.what_for), Text(finding.detail, "dim")]
        if finding.mend:
            lines.append(Text(finding.mend, "bold"))
        table.add_row(Text(finding.state.value, colour), finding.feature, Text("\n").join(lines))
    return table
