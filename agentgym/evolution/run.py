"""An evolution's run: a directory that holds everything about it, so that it can be gone on with.

store.sqlite           what it was asked for, its episodes and figures
memory.db              the library, unless it is kept elsewhere
batches/000001/        what each phase of a batch came to, written when it has: see `agentgym.evolution.journal`
report.html            growth, success, convergence, and every item, on one page
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self, cast

from pydantic import ValidationError

from agentgym.core.errors import UsageError
from agentgym.evolution.figures import BatchFigures
from agentgym.evolution.journal import Journal
from agentgym.evolution.settings import EvolveSettings
from agentgym.memory.store.store import MemoryStore
from agentgym.store.folders import find_run_folder, make_run_folder
from agentgym.store.store import Store

KIND = "evolve"


class EvolutionRun:
    """The files of one evolution, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Journal(path / "batches")

    @classmethod
    def create(
        cls, settings: EvolveSettings, root: Path, name: str | None, *, versions: Mapping[str, Any]
    ) -> Self:
        """Make a new run directory under `root`, named by world and time unless `name` is given.

        Raises `UsageError` where it exists.
        """
        world = settings.env_id.rpartition("/")[2].partition("-v")[0].lower()
        path = root / (name or f"evolve-{world}-{datetime.now():%Y%m%d-%H%M%S-%f}")
        make_run_folder(path, "evolve")
        run = cls(path)
        with Store(run.store) as store:
            store.create_run(run.name, KIND, config=settings.model_dump(mode="json"), versions=versions)
        return run

    @classmethod
    def open(cls, name: str, root: Path = Path("runs")) -> Self:
        """Open an evolution by its directory, or by its name under `root`; raises `UnknownNameError`."""
        return cls(find_run_folder(name, root, "evolution", _is_evolution))

    @property
    def name(self) -> str:
        """The directory's name, which is also the run's id in the store."""
        return self.path.resolve().name

    @property
    def store(self) -> Path:
        """The database of settings, episodes and figures."""
        return self.path / "store.sqlite"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    def settings(self) -> EvolveSettings:
        """Return what it was asked for; raises `UsageError` where the store does not say."""
        with Store(self.store, create=False) as store:
            rows = [row for row in store.runs() if row.kind == KIND]
        try:
            return EvolveSettings.model_validate_json(rows[0].config_json)
        except (IndexError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"{self.path} is no evolution of this version of agentgym ({reason}); begin another one."
            ) from error

    def last(self) -> BatchFigures:
        """Return the figures of the last batch that is done; raises `UsageError` where none is."""
        done = cast("list[BatchFigures]", self.journal.done("snapshot"))
        if not done:
            raise UsageError(
                f"No batch of {self.path} is done yet; go on with `agentgym evolve --resume {self.path}`."
            )
        return done[-1]

    def library(self, settings: EvolveSettings, *, create: bool = True) -> MemoryStore:
        """Open the memory that it grows; raises as `MemoryStore`."""
        return MemoryStore(settings.library or self.path / "memory.db", create=create)


def _is_evolution(path: Path) -> bool:
    if not (path / "store.sqlite").is_file():
        return False
    try:
        with Store(path / "store.sqlite", create=False) as store:
            return any(row.kind == KIND for row in store.runs())
    except (UsageError, sqlite3.Error):
        return False
