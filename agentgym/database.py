"""Databases for what is kept: a SQLite file, or PostgreSQL by URL. Creation, the check of what it is, errors in words.

Nothing here deletes, renames or empties anything: a database that cannot be used is left as it is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from agentgym.core.errors import ConfigError, StoreFault, UsageError

_PAGE_BYTES = 16384
"""Several rows of some 2 kB share a page; with SQLite's 4096 nearly half of each page stays empty."""

_CHECKPOINT_PAGES = 4000
"""The log goes back into the file at 64 MB: each time costs two waits for the disk."""

_BUSY_S = 30.0
"""How long a writer waits for another process's transaction."""

_ADVICE = {
    "full": "Free disk space and go on; what was committed before is safe.",
    "I/O": "Check free space, quota and the disk; what was committed before is safe.",
    "locked": f"Another process has been writing for over {_BUSY_S:.0f} s; close it and go on.",
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

    def open_sqlite(self, path: Path, *, create: bool) -> Engine:
        """Open the file at `path`, made anew where it is missing or empty and `create` is true.

        A transaction begins as `BEGIN`, and as `BEGIN IMMEDIATE` on an engine or connection with the execution
        option `writes`. A file of an older version is brought to this one, where there are `migrations`. Raises
        `UsageError` for a file that is not of this schema, or of any other version, and never changes such a file;
        `StoreFault` when the file system fails.
        """
        if not path.exists() and not create:
            raise UsageError(f"There is no {self.name} at {path}; check the path.")
        with self.faults(path, "open"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(_open(path)) as connection:
                version = self._identify(path, connection)
                if version is None:
                    self._create(connection)
                elif version < self.version:
                    self._migrate(connection)
                mode = _use_log(connection)
            if mode != "wal":
                raise StoreFault(
                    f"The {self.name} {path} cannot use SQLite's write-ahead log (got {mode!r}); keep it on a local "
                    "disk."
                )
        engine = create_engine(URL.create("sqlite", database=str(path)), creator=lambda: connect(path))
        # sqlite3 opens no transaction before a SELECT by itself: what is read together is read as one state.
        event.listen(engine, "begin", _begin)
        return engine

    def open_postgres(self, url: URL, *, create: bool) -> Engine:
        """Open the PostgreSQL database at `url`, and make the tables where there are none and `create` is true.

        Raises `ConfigError` without the driver, `UsageError` where the tables are of another version, `StoreFault`
        where the server or the database is not to be had.
        """
        try:
            engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        except ImportError as error:
            raise ConfigError(
                "PostgreSQL needs the package psycopg: pip install 'agentgym-harness[postgres]'."
            ) from error
        where = shown(url)
        try:
            with self.faults(where, "open"), engine.begin() as connection:
                # Two that open an empty database at once make the tables once.
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": self.application_id})
                self._prepare(connection, where, create)
        except BaseException:
            engine.dispose()
            raise
        return engine

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

    def _identify(self, path: Path, connection: sqlite3.Connection) -> int | None:
        """Return the version of the file, None where it is still empty; raises `UsageError` for one to keep off."""
        try:
            # The tables first: another process may be making them, and says with them whose they are.
            empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
                raise
            raise UsageError(
                f"{path} is not a SQLite file; choose another path for the {self.name}."
            ) from error
        if empty and not application:
            return None
        if application != self.application_id:
            raise UsageError(
                f"{path} is a SQLite file of another program; choose another path for the {self.name}."
            )
        self._check_version(path, version)
        return int(version)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        with transaction(connection):
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            for step in range(version, self.version):  # none, where another process was faster
                for statement in self.migrations[step]:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={max(version, self.version)}")

    def _check_version(self, where: Path | str, version: int) -> None:
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

    def _create(self, connection: sqlite3.Connection) -> None:
        dialect = sqlite_dialect()
        connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
        with transaction(connection):
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return  # another process was faster
            for table in self.metadata.sorted_tables:
                connection.execute(str(CreateTable(table).compile(dialect=dialect)))
                for index in sorted(table.indexes, key=lambda index: str(index.name)):
                    connection.execute(str(CreateIndex(index).compile(dialect=dialect)))
            connection.execute(f"PRAGMA application_id={self.application_id}")
            connection.execute(f"PRAGMA user_version={self.version}")

    def _prepare(self, connection: Connection, where: str, create: bool) -> None:
        known = None
        if inspect(connection).has_table("agentgym_schemas"):
            asked = text("SELECT version FROM agentgym_schemas WHERE name = :name")
            known = connection.execute(asked, {"name": self.name}).scalar()
        if known is not None:
            self._check_version(where, known)
            for step in range(known, self.version):
                for statement in self.migrations[step]:
                    connection.execute(text(statement))
            note = text("UPDATE agentgym_schemas SET version = :version WHERE name = :name")
            connection.execute(note, {"name": self.name, "version": self.version})
            return
        if not create:
            raise UsageError(f"There is no {self.name} at {where}; check the URL.")
        connection.execute(
            text("CREATE TABLE IF NOT EXISTS agentgym_schemas (name TEXT PRIMARY KEY, version INTEGER)")
        )
        self.metadata.create_all(connection)
        note = text("INSERT INTO agentgym_schemas (name, version) VALUES (:name, :version)")
        connection.execute(note, {"name": self.name, "version": self.version})


class Database:
    """An open database: transactions for reading and for writing, safe to share between threads.

    `location` is a path of a SQLite file or a `postgresql://` URL. Raises as `Schema.open_sqlite` and
    `Schema.open_postgres`.
    """

    def __init__(self, location: str | Path, schema: Schema, *, create: bool = True) -> None:
        self._schema = schema
        self._path = None if "://" in str(location) else Path(location)
        if self._path is not None:
            self.engine = schema.open_sqlite(self._path, create=create)
            self.where = str(self._path)
            self._file = self._path.stat().st_ino
            self._reader = self.engine
        else:
            url = _postgres_url(str(location))
            self.engine = schema.open_postgres(url, create=create)
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


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection with our settings, without implicit transactions, usable in any thread."""
    connection = _open(path)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[sqlite3.Connection]:
    """Commit what the block writes, all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back by itself after some failures
            connection.execute("ROLLBACK")
        raise


def shown(url: URL) -> str:
    """Return a URL as messages may show it: without its password."""
    return url.render_as_string(hide_password=True)


def _postgres_url(location: str) -> URL:
    try:
        url = make_url(location)
    except (ArgumentError, ValueError):
        raise UsageError("Not the URL of a database; it looks like postgresql://user@host/name.") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise UsageError(f"Databases are a path of a SQLite file or a postgresql:// URL, got {shown(url)!r}.")
    return url


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def _use_log(connection: sqlite3.Connection) -> str:
    """Change to the write-ahead log and return the mode. Here SQLite itself does not wait for other processes."""
    give_up = time.monotonic() + _BUSY_S
    while True:
        try:
            return connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
        time.sleep(0.01)


def _begin(connection: Connection) -> Any:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
