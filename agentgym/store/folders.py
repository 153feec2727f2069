"""Directories of runs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from agentgym.core.errors import UnknownNameError, UsageError

STORE_FILE = "store.sqlite"


def has_store(path: Path) -> bool:
    """Whether a directory is that of a run of any kind."""
    return (path / STORE_FILE).is_file()


def find_run_folder(
    name: str | Path,
    root: Path,
    kind: str = "run",
    is_one: Callable[[Path], bool] = has_store,
    also: Sequence[str] = (),
) -> Path:
    """Return the directory of a run by its path, or by its name under `root`.

    `is_one` tells the directories of this `kind`. Raises `UnknownNameError`, with those under `root` as what is known,
    and with `also`, names that would have been understood besides.
    """
    for path in (Path(name), root / name):
        if is_one(path):
            return path
    known = [path.name for path in sorted(root.glob("*")) if is_one(path)]
    raise UnknownNameError(
        kind, str(name), [*known, *also], f"Give its directory, or its name if it is in {root}."
    )


def make_run_folder(path: Path, command: str) -> None:
    """Make the directory of a new run; raises `UsageError` where there is one, which `command` goes on with."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(
            f"The run directory {path} exists already; choose another name, or go on with "
            f"`agentgym {command} --resume {path}`."
        ) from None


@contextmanager
def alone_in(path: Path) -> Generator[None]:
    """Carry out the run in a directory, which nobody else does meanwhile: raises `UsageError` where another process is
    at it. The lock ends with the process, however that ends."""
    lock = FileLock(path / "run.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"The run {path} is in use by another process, which carries it out. Wait until that has ended, or end it."
        ) from None
    try:
        yield
    finally:
        lock.release()
