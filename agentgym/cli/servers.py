"""What the commands that serve have in common: where they listen, how they say so, and how they are stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer

from agentgym.cli.console import console, error_console
from agentgym.core import strict_json

Port = Annotated[int, typer.Option("--port", help="0 is any free one.")]
Host = Annotated[str, typer.Option("--host", help="Where to listen.")]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="AGENTGYM_TOKEN", show_envvar=True, help="What clients must show; else one is made."
    ),
]


@contextmanager
def stop_request() -> Generator[asyncio.Event]:
    """Give what is set when the process is asked to stop, by Ctrl-C or by whoever started it."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for kind in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(kind, stopped.set)
    try:
        yield stopped
    finally:
        for kind in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(kind)


def announce(lines: Sequence[str], data: Mapping[str, Any], *, as_json: bool) -> None:
    """Say where a server is: in lines for a person, or as one line of JSON for a program."""
    if as_json:
        typer.echo(strict_json.dumps(data))
    else:
        console().print("\n".join(lines), markup=False, soft_wrap=True)


def tell(problem: str) -> None:
    """Write a line about something that a server did not carry out, with the time, for its operator."""
    line = f"{datetime.now():%H:%M:%S} {problem}"
    error_console().print(line, markup=False, soft_wrap=True)
