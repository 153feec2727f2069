"""The runs that the viewer shows: the stores below a folder, found anew for each page, opened once."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from agentgym.core.errors import StoreFault, UnknownNameError, UsageError
from agentgym.database import Database
from agentgym.store.database import STORE
from agentgym.store.folders import STORE_FILE


class Library:
    """The stores of the run directories in `root`, by the directories' names.

    `also` is a run directory that is shown besides, wherever it is. Threads may share a library.
    """

    def __init__(self, root: Path, also: Path | None = None) -> None:
        self.root = root
        self._also = also
        self._open: dict[str, Database] = {}
        self._lock = threading.Lock()

    def folders(self) -> dict[str, Path]:
        """Return the run directories by name. What is asked for is looked up here, so that no path can be asked for."""
        found = {path.parent.name: path.parent for path in sorted(self.root.glob(f"*/{STORE_FILE}"))}
        if self._also is not None and (self._also / STORE_FILE).is_file():
            found[self._also.resolve().name] = self._also
        return found

    def folder(self, name: str) -> Path:
        """Return a run's directory; raises `UnknownNameError`."""
        folders = self.folders()
        if name not in folders:
            raise UnknownNameError("run", name, folders)
        return folders[name]

    @contextmanager
    def reading(self, name: str) -> Generator[Connection]:
        """See one state of a run's store throughout, also while it is written.

        Raises `UnknownNameError` where there is no such run (any more), `UsageError` for a store of a newer version,
        `StoreFault` for one that cannot be read.
        """
        path = self.folder(name) / STORE_FILE
        try:
            with self._database(name, path).reading() as connection:
                yield connection
        except StoreFault:
            self._forget(name)  # a store that was put in its place is opened by the next page
            raise

    def close(self) -> None:
        """Close the stores."""
        with self._lock:
            for database in self._open.values():
                database.close()
            self._open.clear()

    def _database(self, name: str, path: Path) -> Database:
        with self._lock:
            if name not in self._open:
                self._open[name] = Database(path, STORE, create=False)
            return self._open[name]

    def _forget(self, name: str) -> None:
        with self._lock:
            database = self._open.pop(name, None)
        if database is not None:
            database.close()


def must_have_runs(root: Path) -> None:
    """Raise `UsageError` where `root` is no folder."""
    if not root.is_dir():
        raise UsageError(f"There is no folder {root}; say with --runs where the runs are.")
