"""The journal of an evolution: what each phase of each batch came to, so that no phase is done over otherwise.

A phase first finds out what it will do, then writes that here, then does it. What is read here after a kill is done
again, which changes nothing where it was done already; what is not here is found out anew, from the same episodes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentgym.core.errors import StoreFault


class Journal:
    """A folder for every batch, a file for every phase, written as a whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, batch: int, phase: str) -> dict[str, Any] | None:
        """Return what a phase came to; None where it is not done. Raises `StoreFault` for a file that is broken."""
        path = self._file(batch, phase)
        try:
            return json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreFault(
                f"{path} cannot be read ({error}); move the folder {path.parent} away to do its batch again."
            ) from error

    def write(self, batch: int, phase: str, data: Mapping[str, Any]) -> None:
        """Keep what a phase came to. Raises `StoreFault` where the disk does not take it."""
        path = self._file(batch, phase)
        part = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("w", encoding="utf-8") as file:
                json.dump(data, file, ensure_ascii=False, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise StoreFault(
                f"{path} cannot be written ({error.strerror}); make room and go on with --resume."
            ) from error

    def done(self, phase: str) -> list[dict[str, Any]]:
        """Return what the phase came to in every batch from the first on that has it."""
        found: list[dict[str, Any]] = []
        while (data := self.read(len(found) + 1, phase)) is not None:
            found.append(data)
        return found

    def _file(self, batch: int, phase: str) -> Path:
        return self.path / f"{batch:06d}" / f"{phase}.json"
