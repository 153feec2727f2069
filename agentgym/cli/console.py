"""Where the commands write, and how they tell what went wrong."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from agentgym.core import strict_json
from agentgym.core.errors import AgentGymError

PLAIN_WIDTH = 120
"""Columns of a log file or pipe, which has none of its own."""


def console() -> Console:
    """Return a console on standard output."""
    return _console(stderr=False)


def error_console() -> Console:
    """Return a console on standard error."""
    return _console(stderr=True)


def aside(as_json: bool) -> Console:
    """Return where a command tells how it goes: with data on standard output, on standard error, to who watches."""
    out = _console(stderr=as_json)
    out.quiet = as_json and not out.is_terminal
    return out


def print_json(data: Any) -> None:
    """Print data as JSON on standard output. What is no number (NaN, infinity) is null: JSON has none of them."""
    typer.echo(strict_json.dumps(data, indent=1))


@contextmanager
def working(on: str) -> Generator[None]:
    """Show on a terminal that something goes on, where nobody can say how long it takes."""
    with error_console().status(f"{on} ..."):
        yield


def show_error(error: AgentGymError | OSError) -> int:
    """Print an error on standard error and return the exit code it calls for."""
    known = isinstance(error, AgentGymError)
    text = str(error) if known else f"{error.strerror}: {error.filename}. Check the path and its permissions."
    errors = error_console()
    errors.print(Text.assemble(("Error:", "bold red"), " ", text), soft_wrap=not errors.is_terminal)
    return error.exit_code if known else 1


def _console(*, stderr: bool) -> Console:
    out = Console(stderr=stderr, highlight=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = PLAIN_WIDTH
    return out
