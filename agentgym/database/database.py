"""`Database`: an open database."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text

from agentgym.database.postgres import open_postgres, postgres_url, shown
from agentgym.database.schema import Schema
from agentgym.database.sqlite import open_sqlite


class Database:
    """An open database: transactions for reading and for writing, safe to share between threads.

    `location` is a path of a SQLite file or a `postgresql://` URL. Raises as `open_sqlite` and `open_postgres`.
    """

    def __init__(self, location: str | Path, schema: Schema, *, create: bool = True) -> None:
        self._schema = schema
        self._path = None if "://" in str(location) else Path(location)
        if self._path is not None:
            self.engine = open_sqlite(schema, self._path, create=create)
            self.where = str(self._path)
            self._file = self._path.stat().st_ino
            self._reader = self.engine
        else:
            url = postgres_url(str(location))
            self.engine = open_postgres(schema, url, create=create)
            self.where = shown(url)
            self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ")
        self._writer = self.engine.execution_options(writes=True)

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """See one state of the database throughout. Raises `StoreFault` when it cannot be read."""
        with self._schema.faults(self.where, "read"):
            self._still_there()
            with self._reader.begin() as connection:
                yield connection

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """Commit what the block writes, all of it or nothing. Raises `StoreFault` when it cannot be written."""
        with self._schema.faults(self.where, "write to"):
            self._still_there()
            with self._writer.begin() as connection:
                if (
                    self._path is None
                ):  # one writer at a time, as in SQLite: no deadlocks, numbers in order of commit
                    lock = {"lock": self._schema.application_id}
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), lock)
                yield connection

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def _still_there(self) -> None:
        """Raise where the file is gone: SQLite would go on writing into a file that nobody can open any more."""
        if self._path is None:
            return
        try:
            there = self._path.stat().st_ino == self._file
        except FileNotFoundError:
            there = False
        if not there:
            raise OSError("the file has vanished since it was opened")
