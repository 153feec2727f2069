"""Opening the SQLite file: creation, the check of what it is, the settings, and errors in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable

from agentgym.core.errors import StoreFault, UsageError
from agentgym.store.tables import APPLICATION_ID, SCHEMA_VERSION, StoreRow

_PAGE_BYTES = 16384
"""Several turns of some 2 kB share a page; with SQLite's 4096 nearly half of each page stays empty."""

_CHECKPOINT_PAGES = 4000
"""The log goes back into the file at 64 MB: each time costs two waits for the disk."""

_BUSY_S = 30.0
"""How long a writer waits for another process's transaction."""


def open_engine(path: Path, *, create: bool) -> Engine:
    """Open the store at `path`, made anew where it is missing or empty and `create` is true.

    Raises `UsageError` for a file that is not a store of this version, and never changes such a file;
    `StoreFault` when the file system fails.
    """
    if not path.exists() and not create:
        raise UsageError(f"There is no store at {path}; check the path.")
    with faults(path, "open"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(_open(path)) as connection:
            if _identify(path, connection):
                _create(connection)
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise StoreFault(
                f"The store {path} cannot use SQLite's write-ahead log (got {mode!r}); keep it on a local disk."
            )
    engine = create_engine(URL.create("sqlite", database=str(path)), creator=lambda: connect(path))
    # sqlite3 opens no transaction before a SELECT by itself: an episode and its turns are read as one state.
    event.listen(engine, "begin", _begin)
    return engine


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection with the store's settings, without implicit transactions, usable in any thread."""
    connection = _open(path)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    return connection


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


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


@contextmanager
def faults(path: Path, doing: str) -> Generator[None]:
    """Turn failures of SQLite and of the file system into `StoreFault`, with what to do next."""
    try:
        yield
    except (sqlite3.Error, DBAPIError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StoreFault(f"Cannot {doing} the store {path}: {cause}. {_advice(str(cause))}") from error


def _advice(cause: str) -> str:
    advice = {
        "full": "Free disk space and go on; what was committed before is safe.",
        "I/O": "Check free space, quota and the disk; what was committed before is safe.",
        "locked": f"Another process has been writing for over {_BUSY_S:.0f} s; close it and go on.",
        "readonly": "Check the permissions of the file and its folder.",
        "unable to open": "Check that the folder exists and is writable.",
        "UNIQUE": "That record is there already; `Store.delete_from` makes room to redo an iteration.",
        "FOREIGN KEY": "The run is not in the store; add it with `Store.create_run`.",
        "malformed": "The file is damaged; go on with a copy or a new store.",
    }
    return next((text for key, text in advice.items() if key in cause), "Check the path and its permissions.")


def _identify(path: Path, connection: sqlite3.Connection) -> bool:
    """Return whether the file is still empty; raises `UsageError` when it is not a store of this version."""
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        raise UsageError(f"{path} is not a SQLite file; choose another path for the store.") from error
    if empty and not application:
        return True
    if application != APPLICATION_ID:
        raise UsageError(f"{path} is a SQLite file of another program; choose another path for the store.")
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"The store {path} has schema version {version}, this package reads version {SCHEMA_VERSION}; "
            "open it with the version of agentgym that wrote it, or start a new store."
        )
    return False


def _create(connection: sqlite3.Connection) -> None:
    dialect = sqlite_dialect()
    connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    with transaction(connection):
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return  # another process was faster
        for table in StoreRow.metadata.sorted_tables:
            connection.execute(str(CreateTable(table).compile(dialect=dialect)))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                connection.execute(str(CreateIndex(index).compile(dialect=dialect)))
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _begin(connection: Connection) -> Any:
    connection.exec_driver_sql("BEGIN")
