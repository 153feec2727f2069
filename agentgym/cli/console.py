"""Where the commands write."""

from __future__ import annotations

from rich.console import Console


def console() -> Console:
    """Return a console on standard output."""
    return Console(highlight=False)


def error_console() -> Console:
    """Return a console on standard error."""
    return Console(stderr=True, highlight=False)
