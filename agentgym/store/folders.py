"""Directories of runs."""

from __future__ import annotations

from pathlib import Path

from agentgym.core.errors import UsageError


def make_run_folder(path: Path, command: str) -> None:
    """Make the directory of a new run; raises `UsageError` where there is one, which `command` goes on with."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(
            f"The run directory {path} exists already; choose another name, or go on with "
            f"`agentgym {command} --resume {path}`."
        ) from None
