"""Bars for work whose length is known: how much is done, how fast it goes, how long it will still take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from agentgym.cli.console import error_console

Item = TypeVar("Item")
_BAR = 24
"""Columns: with a name, the figures and a note a line fits 80."""


class RateColumn(ProgressColumn):
    """How many are done in a second; of slow work, in a minute."""

    def render(self, task: Task) -> Text:
        """Return the rate, empty before it is known."""
        return Text("" if task.speed is None else rate(task.speed), style="dim")


def rate(per_second: float) -> str:
    """Return a rate in the unit that people would use.

    >>> rate(1234.5), rate(2.5), rate(0.05)
    ('1,234/s', '2.5/s', '3.0/min')
    """
    if per_second >= 1:
        return f"{per_second:,.0f}/s" if per_second >= 100 else f"{per_second:.1f}/s"
    return f"{60 * per_second:.1f}/min"


def bars(out: Console, *, keep: bool = False) -> Progress:
    """Return bars, each of whose tasks has a `note`; they go away at the end, unless they are to `keep`.

    Nothing is written where `out` is no terminal.
    """
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(_BAR),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=False),
        TextColumn("[dim]{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=out,
        transient=not keep,
        disable=not out.is_terminal,
    )


def counted(items: Iterable[Item], total: int, name: str) -> Iterator[Item]:
    """Yield the items, showing on a terminal how far it is."""
    with bars(error_console()) as shown:
        task = shown.add_task(name, total=total, note="")
        for item in items:
            yield item
            shown.advance(task)
