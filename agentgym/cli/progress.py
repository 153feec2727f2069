"""A training run, shown in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import TaskID

from agentgym.cli.bars import bars
from agentgym.rollout.monitor import Figures

PLAIN_INTERVAL_S = 10.0
"""Where the output is not a terminal, seconds between lines about a stage."""


class TerminalProgress:
    """One bar per stage, and a line for each finished iteration. A context manager.

    Where the output is no terminal (a log file, a pipe), plain lines instead of bars.
    """

    def __init__(self, out: Console) -> None:
        self._out = out
        self._bars = bars(out, keep=True)
        self._current: TaskID | None = None
        self._name, self._done, self._total, self._told = "", 0, 0, 0.0
        self._headed = False

    def __enter__(self) -> Self:
        if self._out.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int) -> None:
        """Start a bar."""
        self._name, self._done, self._total, self._told = name, 0, total, monotonic()
        if self._out.is_terminal:
            self._current = self._bars.add_task(name, total=total, note="")
        else:
            self._out.print(f"{name}: 0/{total}")

    def advance(self, note: str = "") -> None:
        """Move the bar by one."""
        self._done += 1
        if self._current is not None:
            self._bars.update(self._current, advance=1, note=note)
        elif self._done == self._total or monotonic() - self._told > PLAIN_INTERVAL_S:
            self._told = monotonic()
            self._out.print(f"{self._name}: {self._done}/{self._total} {note}".rstrip())

    def playing(self, figures: Figures) -> None:
        """Show beside the bar how fast it goes; nothing where the output is no terminal."""
        if self._current is not None:
            self._bars.update(self._current, note=f"{figures.episodes}/{figures.planned}, {figures.line}")

    def iteration(self, iteration: int, metrics: Mapping[str, float], timing: Mapping[str, float]) -> None:
        """Print the iteration's line, below a heading."""
        if not self._headed:
            self._headed = True
            self._out.print(
                "[dim]iter  success  turns  entropy  clipped    gap  no signal  rollout  learning[/]"
            )
        unscored = f"  [yellow]{metrics['unscored']:.0f} unscored[/]" if metrics["unscored"] else ""
        dropped = metrics.get("groups_dropped", 0.0)
        unscored += f"  [yellow]{dropped:.0f} groups dropped[/]" if dropped else ""
        idle = f"  [yellow]{_idle(metrics)}[/]" if metrics["steps_without_update"] else ""
        self._out.print(
            f"{iteration + 1:>4}  [bold]{metrics['success']:>7.1%}[/]  {metrics['turns']:>5.1f}  "
            f"{metrics['entropy']:>7.3f}  {metrics['clip_share']:>7.1%}  {metrics['gap_mean']:>5.0e}  "
            f"{metrics['no_signal_share']:>9.0%}  "
            f"[dim]{timing['rollout_s']:>5.1f} s  {timing['learn_s']:>6.1f} s[/]{unscored}{idle}"
        )
        self._told = monotonic()

    def say(self, text: str) -> None:
        """Print a line."""
        self._out.print(text, markup=False, soft_wrap=True)


def _idle(metrics: Mapping[str, float]) -> str:
    """Say how many of the iteration's steps changed nothing."""
    idle, steps = metrics["steps_without_update"], metrics["steps"]
    return f"{idle:.0f} of {steps + idle:.0f} steps without update" if steps else "no update"
