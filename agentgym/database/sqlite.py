"""SQLite files: made and checked with the standard library, then used by sqlalchemy."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from agentgym.core.errors import StoreFault, UsageError
from agentgym.database.schema import BUSY_S, Schema

_PAGE_BYTES = 16384
"""Several rows of some 2 kB share a page; with SQLite's 4096 nearly half of each page stays empty."""

_CHECKPOINT_PAGES = 4000
"""The log goes back into the file at 64 MB: each time costs two waits for the disk."""


def open_sqlite(schema: Schema, path: Path, *, create: bool) -> Engine:
    """Open the file at `path`, made anew where it is missing or empty and `create` is true.

    A transaction begins as `BEGIN`, and as `BEGIN IMMEDIATE` on an engine or connection with the execution
    option `writes`. A file of an older version is brought to this one, where there are `migrations`. Raises
    `UsageError` for a file that is not of this schema, or of any other version, and never changes such a file;
    `StoreFault` when the file system fails.
    """
    if not path.exists() and not create:
        raise UsageError(f"There is no {schema.name} at {path}; check the path.")
    with schema.faults(path, "open"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(_open(path)) as connection:
            version = _identify(schema, path, connection)
            if version is None:
                _create(schema, connection)
            elif version < schema.version:
                _migrate(schema, connection)
            mode = _use_log(connection)
        if mode != "wal":
            raise StoreFault(
                f"The {schema.name} {path} cannot use SQLite's write-ahead log (got {mode!r}); keep it on a local "
                "disk."
            )
    engine = create_engine(URL.create("sqlite", database=str(path)), creator=lambda: connect(path))
    # sqlite3 opens no transaction before a SELECT by itself: what is read together is read as one state.
    event.listen(engine, "begin", _begin)
    return engine


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection with our settings, without implicit transactions, usable in any thread."""
    connection = _open(path)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    return connection


def copy_sqlite(source: Path, target: Path) -> None:
    """Write a new file that holds what was last committed to `source`, which may be in use."""
    with closing(_open(source)) as old, closing(_open(target)) as new:
        old.backup(new)


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


def _identify(schema: Schema, path: Path, connection: sqlite3.Connection) -> int | None:
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
            f"{path} is not a SQLite file; choose another path for the {schema.name}."
        ) from error
    if empty and not application:
        return None
    if application != schema.application_id:
        raise UsageError(
            f"{path} is a SQLite file of another program; choose another path for the {schema.name}."
        )
    schema.check_version(path, version)
    return int(version)


def _migrate(schema: Schema, connection: sqlite3.Connection) -> None:
    with transaction(connection):
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        for step in range(version, schema.version):  # none, where another process was faster
            for statement in schema.migrations[step]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={max(version, schema.version)}")


def _create(schema: Schema, connection: sqlite3.Connection) -> None:
    dialect = sqlite_dialect()
    connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    with transaction(connection):
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return  # another process was faster
        for table in schema.metadata.sorted_tables:
            connection.execute(str(CreateTable(table).compile(dialect=dialect)))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                connection.execute(str(CreateIndex(index).compile(dialect=dialect)))
        connection.execute(f"PRAGMA application_id={schema.application_id}")
        connection.execute(f"PRAGMA user_version={schema.version}")


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)


def _use_log(connection: sqlite3.Connection) -> str:
    """Change to the write-ahead log and return the mode. Here SQLite itself does not wait for other processes."""
    give_up = time.monotonic() + BUSY_S
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
