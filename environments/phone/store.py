"""The phone's state: one SQLite database in memory, whose tables the applications declare."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agentgym.core.errors import UsageError

Row: TypeAlias = sqlite3.Row
Value: TypeAlias = str | int
Content: TypeAlias = tuple[Value, ...]
"""What a row says: its values in the order of the table's columns, without the id."""


@dataclass(frozen=True)
class Table:
    """A table and its columns with their defaults; every table also has an integer `id`.

    `unimportant` columns are shown but ask for nothing: what happens to them never spoils a task.
    """

    name: str
    columns: Mapping[str, Value]
    unimportant: frozenset[str] = field(default_factory=frozenset[str])

    def content(self, values: Mapping[str, Any]) -> Content:
        """Return what matters of a row, with defaults for what `values` leaves out."""
        return tuple(
            values.get(name, default)
            for name, default in self.columns.items()
            if name not in self.unimportant
        )

    def named(self, content: Content) -> dict[str, Value]:
        """Return what `content` says, by column."""
        important = [name for name in self.columns if name not in self.unimportant]
        return dict(zip(important, content, strict=True))


class Store:
    """The database. Reads are remembered until the next write, since screens are drawn at every step."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables = {table.name: table for table in tables}
        # Rollouts make an environment in one thread and step it in another, never in two at once.
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA page_size = 512")  # small tables: small snapshots
        for table in self.tables.values():
            columns = ", ".join(
                f"{name} {'INTEGER' if isinstance(default, int) else 'TEXT'} NOT NULL"
                for name, default in table.columns.items()
            )
            self._connection.execute(f"CREATE TABLE {table.name} (id INTEGER PRIMARY KEY, {columns})")
        self.version = 0
        """Rises with every write."""
        self._read: dict[tuple[Any, ...], list[Row]] = {}
        self._contents: dict[str, dict[int, Content]] = {}
        self._digests: dict[str, bytes] = {}

    def close(self) -> None:
        """Release the database."""
        self._connection.close()

    # --- reading ------------------------------------------------------------------------------------

    def rows(self, table: str, order: str = "id", **where: Value) -> list[Row]:
        """Return the rows whose columns equal `where`. `order` and the names come from the applications."""
        key = (table, order, *where.items())
        found = self._read.get(key)
        if found is None:
            condition = " AND ".join(f"{name} = ?" for name in where) or "1"
            query = f"SELECT * FROM {table} WHERE {condition} ORDER BY {order}, id"
            found = self._read[key] = self._connection.execute(query, tuple(where.values())).fetchall()
        return found

    def row(self, table: str, row_id: int) -> Row | None:
        """Return the row with an id, or None where there is none."""
        found = self.rows(table, id=row_id)
        return found[0] if found else None

    def contents(self, table: str) -> dict[int, Content]:
        """Return what the rows of a table say, by id."""
        found = self._contents.get(table)
        if found is None:
            content = self.tables[table].content
            found = self._contents[table] = {row["id"]: content(dict(row)) for row in self.rows(table)}
        return found

    def digest(self) -> bytes:
        """Return a hash of everything in the database, equal exactly when all rows are equal."""
        for name in self.tables:
            if name not in self._digests:
                rows = json.dumps([tuple(row) for row in self.rows(name)]).encode()
                self._digests[name] = hashlib.blake2b(rows, digest_size=16).digest()
        return b"".join(self._digests[name] for name in self.tables)

    # --- writing ------------------------------------------------------------------------------------

    def insert(self, table: str, **values: Value) -> int:
        """Add a row, with the table's defaults for what `values` leaves out; return its id."""
        row = {**self.tables[table].columns, **values}
        columns, marks = ", ".join(row), ", ".join("?" for _ in row)
        done = self._connection.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values())
        )
        self._forget(table)
        return done.lastrowid or 0

    def update(self, table: str, row_id: int, **values: Value) -> None:
        """Change columns of a row."""
        changes = ", ".join(f"{name} = ?" for name in values)
        self._connection.execute(f"UPDATE {table} SET {changes} WHERE id = ?", (*values.values(), row_id))
        self._forget(table)

    def delete(self, table: str, row_id: int) -> None:
        """Remove a row."""
        self._connection.execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))
        self._forget(table)

    def _forget(self, table: str) -> None:
        self.version += 1
        self._contents.pop(table, None)
        self._digests.pop(table, None)
        for key in [key for key in self._read if key[0] == table]:
            del self._read[key]

    # --- saving -------------------------------------------------------------------------------------

    def save(self) -> bytes:
        """Return the whole database."""
        return self._connection.serialize()

    def load(self, saved: bytes) -> None:
        """Go back to a saved database of the same tables; raises `UsageError` where it is none."""
        try:
            self._connection.deserialize(saved)
            names = {row["name"] for row in self._connection.execute("SELECT name FROM sqlite_schema")}
        except sqlite3.DatabaseError as error:
            raise UsageError(f"{len(saved)} bytes are no database of this phone: {error}.") from error
        if names != set(self.tables):
            raise UsageError(
                f"The database of a phone has the tables {sorted(self.tables)}, got {sorted(names)}."
            )
        self.version += 1
        self._read.clear()
        self._contents.clear()
        self._digests.clear()
