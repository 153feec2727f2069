"""What a search has found out, line by line, so that it can be gone on with: lifetimes and the children of its steps.

Lifetimes are kept by adaptation, split and task: what is known of a train task never stands for one of `select`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agentgym.core.errors import StoreFault
from agentgym.core.task import Task
from agentgym.evolution.adaptation.genome import Adaptation


class Ledger:
    """A file of JSON lines; a last line that is cut short is as if it had not been written."""

    def __init__(self, path: Path) -> None:
        """Read what is there. Raises `StoreFault` for a file that cannot be read."""
        self._path = path
        self._lifetimes: dict[tuple[str, str, str], list[bool]] = {}
        self._children: dict[int, Adaptation | None] = {}
        whole = 0
        for line in self._lines():
            try:
                self._take(json.loads(line))
            except (KeyError, TypeError, ValueError):
                break
            whole += len(line)
        if path.is_file() and path.stat().st_size > whole:
            os.truncate(path, whole)

    def lifetime(self, adaptation: Adaptation, task: Task) -> list[bool] | None:
        """Return which attempts at a task solved it; None where it was not played yet."""
        return self._lifetimes.get((adaptation.key, task.split.value, task.key))

    def child(self, step: int) -> tuple[Adaptation | None] | None:
        """Return what was made in a step (perhaps nothing), in a tuple; None where that step was not taken yet."""
        return (self._children[step],) if step in self._children else None

    def add_lifetimes(self, adaptation: Adaptation, lived: Iterable[tuple[Task, list[bool]]]) -> None:
        """Keep lifetimes. Raises `StoreFault` where the disk does not take them."""
        self._append(
            {"adaptation": adaptation.key, "split": task.split.value, "task": task.key, "solved": solved}
            for task, solved in lived
        )

    def add_child(self, step: int, child: Adaptation | None) -> None:
        """Keep what was made in a step. Raises `StoreFault` where the disk does not take it."""
        self._append([{"step": step, "child": None if child is None else child.model_dump(mode="json")}])

    def _take(self, line: dict[str, Any]) -> None:
        if "step" in line:
            child = line["child"]
            self._children[line["step"]] = None if child is None else Adaptation.model_validate(child)
        else:
            name = (line["adaptation"], line["split"], line["task"])
            self._lifetimes[name] = [bool(won) for won in line["solved"]]

    def _lines(self) -> list[bytes]:
        try:
            return self._path.read_bytes().splitlines(keepends=True) if self._path.is_file() else []
        except OSError as error:
            raise StoreFault(f"{self._path} cannot be read ({error.strerror}).") from error

    def _append(self, lines: Iterable[dict[str, Any]]) -> None:
        try:
            with self._path.open("ab") as file:
                for line in lines:
                    self._take(line)
                    file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreFault(
                f"{self._path} cannot be written ({error.strerror}); make room and go on with --resume."
            ) from error
