"""What a database holds, and what is said where it fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import MetaData
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from agentgym.core.errors import StoreFault, UsageError

BUSY_S = 30.0
"""How long a writer waits for another process's transaction."""

_ADVICE = {
    "full": "Free disk space and go on; what was committed before is safe.",
    "I/O": "Check free space, quota and the disk; what was committed before is safe.",
    "locked": f"Another process has been writing for over {BUSY_S:.0f} s; close it and go on.",
    "readonly": "Check the permissions of the file and its folder.",
    "unable to open": "Check that the folder exists and is writable.",
    "malformed": "The file is damaged; go on with a copy or a new one.",
    "vanished": "Put it back, or open another; nothing was written or deleted by this call.",
    "does not exist": "Check the URL, or make the database with `createdb`.",
    "terminating connection": "Go on when the server is back; what was committed before is safe.",
    "server closed the connection": "Go on when the server is back; what was committed before is safe.",
    "connection is bad": "Check that the server runs and that the URL is right.",
    "connection failed": "Check that the server runs and that the URL is right.",
}


Migrations: TypeAlias = Mapping[int, tuple[str, ...]]
"""By version, the statements that make the tables of that version those of the next one."""


@dataclass(frozen=True)
class Schema:
    """What a database holds: its tables, and how its files and messages say so."""

    name: str
    """Such as `store`, in messages and in PostgreSQL's table of schemas."""
    metadata: MetaData
    application_id: int
    """Marks a SQLite file as this one's."""
    version: int
    """Raised with every change of a table; kept in SQLite's `user_version`."""
    migrations: Migrations = field(default_factory=dict[int, tuple[str, ...]])
    advice: Mapping[str, str] = field(default_factory=dict[str, str])
    """What to do next, by a part of the database's own message."""

    @contextmanager
    def faults(self, where: Path | str, doing: str) -> Generator[None]:
        """Turn failures of the database and of the file system into `StoreFault`, with what to do next."""
        try:
            yield
        except (sqlite3.Error, SQLAlchemyError, OSError) as error:
            cause = str(error.orig if isinstance(error, DBAPIError) else error).strip()
            advice = {**_ADVICE, **self.advice}
            known = (line for key, line in advice.items() if key in cause)
            do = next(known, "Check where it is and its permissions.")
            raise StoreFault(f"Cannot {doing} the {self.name} {where}: {cause}. {do}") from error

    def check_version(self, where: Path | str, version: int) -> None:
        """Raise `UsageError` for tables of a version that this one neither is nor can be made from."""
        if version > self.version:
            raise UsageError(
                f"The {self.name} {where} has schema version {version}, this package reads up to version "
                f"{self.version}; install the version of agentgym that wrote it, or a newer one."
            )
        if any(step not in self.migrations for step in range(version, self.version)):
            raise UsageError(
                f"The {self.name} {where} has schema version {version}, this package reads version {self.version}; "
                f"open it with the version of agentgym that wrote it, or start a new {self.name}."
            )
