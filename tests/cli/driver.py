"""How the tests of the command line use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Done(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]
"""Runs `agentgym ARGS...`, with `typed` as its standard input."""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, so that two moments can be compared."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
