"""What a task asks for, as the files and windows that should be there in the end; the validator."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from agentgym.environments.desktop.opening import Opening
from agentgym.environments.desktop.sheet import SUFFIX, read_sheet

Files: TypeAlias = Mapping[str, bytes]
"""Contents by path below HOME; folders end with a slash and hold nothing. Hidden files are the applications' own."""

MOST_BYTES = 1 << 20
"""Of a file more is not read: no task has longer ones."""
MOST_FILES = 1000


@dataclass(frozen=True, slots=True)
class Goal:
    """A task: how the desktop is at first, what is asked for, and how it should be in the end."""

    instruction: str
    start: Files
    wanted: Files
    opened: Sequence[Opening]
    plan: Sequence[str]
    """Actions that lead there from the start, `done()` left out."""
    title: str = ""
    """How the title of some window should begin; empty where windows do not matter."""

    def left(self, files: Files, titles: Sequence[str]) -> int:
        """Count what is missing, wrong, or there without being asked for."""
        found, wanted = canonical(files), canonical(self.wanted)
        wrong = sum(found.get(path) != wanted.get(path) for path in {**found, **wanted})
        return wrong + (not self._shows(titles))

    def solved(self, files: Files, titles: Sequence[str]) -> bool:
        """Whether everything is as asked for, and nothing else has changed."""
        return self.left(files, titles) == 0

    def _shows(self, titles: Sequence[str]) -> bool:
        return not self.title or any(title.startswith(self.title) for title in titles)


def canonical(files: Files) -> Files:
    """Return files such that equal ones mean the same: texts without blank ends, workbooks by their cells."""
    told: dict[str, bytes] = {}
    for path, content in files.items():
        cells = read_sheet(content) if path.endswith(SUFFIX) else None
        told[path] = content.rstrip() if cells is None else cells
    return told


def read_home(home: Path) -> Files:
    """Read the visible files below a folder. Nothing is followed or waited for: links and pipes are told as such."""
    found: dict[str, bytes] = {}
    for folder, names, files in os.walk(home):
        names[:] = [name for name in sorted(names) if not name.startswith(".")]
        for name in [*names, *files]:
            path = Path(folder) / name
            told = str(path.relative_to(home))
            if name.startswith(".") or len(found) >= MOST_FILES:
                continue
            try:
                mode = path.lstat().st_mode
                if stat.S_ISDIR(mode):
                    found[f"{told}/"] = b""
                elif stat.S_ISREG(mode):
                    found[told] = _read(path)
                else:
                    found[told] = b"(no plain file)"
            except OSError:  # it went, or changed its kind, meanwhile
                continue
    return found


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MOST_BYTES)
