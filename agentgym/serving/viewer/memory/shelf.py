"""The memories that the viewer shows: those in run directories, found by what their files say they are."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from agentgym.core.errors import StoreFault, UnknownNameError
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import MEMORY
from agentgym.serving.viewer.library import Library

APART = "-"
"""What stands for the run directory of a memory that is in none."""
_MARK_AT = 68
"""Byte of a SQLite file at which its `application_id` begins, big-endian (the file format, section 1.3)."""


class Shelf:
    """The memories in the directories of `library`, and the one at `apart`: a path or a `postgresql://` URL.

    Threads may share a shelf.
    """

    def __init__(self, library: Library, apart: str | None = None) -> None:
        self._library = library
        self._apart = apart
        self._open: dict[str, MemoryStore] = {}
        self._lock = threading.Lock()

    def of_folder(self, folder: str) -> dict[str, Path]:
        """Return the memories of a run directory by file name; raises `UnknownNameError` for no such directory."""
        files = sorted(path for path in self._library.folder(folder).iterdir() if path.is_file())
        return {path.name: path for path in files if _is_memory(path)}

    def all(self) -> list[tuple[str, str]]:
        """Return the directory and the name of every memory."""
        apart = [(APART, _name(self._apart))] if self._apart is not None else []
        return apart + [
            (folder, name) for folder in self._library.folders() for name in self.of_folder(folder)
        ]

    @contextmanager
    def opened(self, folder: str, name: str) -> Generator[MemoryStore]:
        """Give a memory; raises `UnknownNameError` where there is none (any more), and as `MemoryStore`."""
        location = self._location(folder, name)
        with self._lock:
            if location not in self._open:
                self._open[location] = MemoryStore(location, create=False)
            store = self._open[location]
        try:
            yield store
        except StoreFault:
            with self._lock:
                if self._open.get(location) is store:
                    self._open.pop(
                        location
                    ).close()  # one that was put in its place is opened by the next page
            raise

    def close(self) -> None:
        """Close the memories."""
        with self._lock:
            for store in self._open.values():
                store.close()
            self._open.clear()

    def _location(self, folder: str, name: str) -> str:
        """Return where a memory is. What is asked for is looked up, so that no path can be asked for."""
        if folder == APART and self._apart is not None:
            found = {_name(self._apart): self._apart}
        else:
            found = {key: str(path) for key, path in self.of_folder(folder).items()}
        if name not in found:
            raise UnknownNameError("memory", name, found)
        return found[name]


def _is_memory(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            header = stream.read(_MARK_AT + 4)
    except OSError:
        return False
    mark = MEMORY.application_id.to_bytes(4, "big")
    return header.startswith(b"SQLite format 3\0") and header[_MARK_AT:] == mark


def _name(location: str) -> str:
    """Return what a page calls a memory: the last part of where it is, without secrets."""
    return location.rpartition("/")[2].partition("?")[0] or "memory"
