"""The database of a business: SQLite in memory, with the errors that its tools give."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from agentgym.core.errors import did_you_mean

Row: TypeAlias = dict[str, Any]
Content: TypeAlias = frozenset[tuple[str, tuple[Any, ...]]]
"""Every row of every table, each with the name of its table."""


class Refused(Exception):
    """A tool will not do this; the text says why, and what to do instead."""


class Desk:
    """One open database. Rows are dicts; ids are texts such as `O41`."""

    def __init__(self, schema: str = "") -> None:
        # Isolation by hand: `attempt` opens a transaction where there is something to take back.
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(schema)
        self._counted = -1
        self._known_at_start = False
        self._content: Content = frozenset()

    # --- reading ------------------------------------------------------------------------------------

    def rows(self, query: str, *values: Any) -> list[Row]:
        """Return what a query finds."""
        return [dict(row) for row in self._connection.execute(query, values)]

    def value(self, query: str, *values: Any) -> Any:
        """Return the first column of the first row of a query; None where there is none."""
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]

    def has(self, table: str, row_id: str) -> bool:
        """Whether a table has a row with this id."""
        return self.value(f"SELECT 1 FROM {table} WHERE id = ?", row_id) is not None

    def one(self, table: str, row_id: str) -> Row:
        """Return the row with this id; raises `Refused` with a suggestion where there is none."""
        found = self.rows(f"SELECT * FROM {table} WHERE id = ?", row_id)
        if found:
            return found[0]
        known = [row["id"] for row in self.rows(f"SELECT id FROM {table}")]
        noun = table.removesuffix("s")
        article = "an" if noun[0] in "aeio" else "a"
        example = f" Ids look like {known[0]!r}." if known else ""
        raise Refused(
            f"There is no {noun} {row_id!r}.{did_you_mean(row_id, known)} Give {article} id.{example}"
        )

    # --- writing ------------------------------------------------------------------------------------

    def add(self, table: str, **columns: Any) -> None:
        """Insert a row."""
        names = ", ".join(columns)
        places = ", ".join("?" * len(columns))
        self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(columns.values()))

    def set(self, table: str, row_id: str, **columns: Any) -> None:
        """Change columns of the row with an id."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self._connection.execute(f"UPDATE {table} SET {names} WHERE id = ?", (*columns.values(), row_id))

    def run(self, statement: str, *values: Any) -> None:
        """Run any other statement that changes rows."""
        self._connection.execute(statement, values)

    def next_id(self, table: str, letter: str) -> str:
        """Return the id after the greatest one of a table, the same whatever was done in between."""
        last = self.value(f"SELECT max(CAST(substr(id, 2) AS INTEGER)) FROM {table}")
        return f"{letter}{(last or 9) + 1}"

    def begin(self) -> None:
        """Open a transaction, for `commit` or `undo`."""
        self._known_at_start = self._counted == self._connection.total_changes
        self._connection.execute("BEGIN")

    def commit(self) -> None:
        """Keep what was done since `begin`."""
        self._connection.execute("COMMIT")

    def undo(self) -> None:
        """Take back what was done since `begin`."""
        self._connection.execute("ROLLBACK")
        if self._known_at_start:  # the content is again what it was
            self._counted = self._connection.total_changes

    # --- the whole ----------------------------------------------------------------------------------

    def content(self) -> Content:
        """Return every row. Computed anew only after a change."""
        changes = self._connection.total_changes
        if changes != self._counted:
            self._content = frozenset(
                (table, tuple(row))
                for table in self._tables()
                for row in self._connection.execute(f"SELECT * FROM {table}")
            )
            self._counted = changes
        return self._content

    def save(self) -> bytes:
        """Return the database as SQLite writes it to a file."""
        return self._connection.serialize()

    def load(self, saved: bytes, content: Content | None = None) -> None:
        """Replace the database by a saved one; `content` is what is in it, where that is known."""
        self._connection.deserialize(saved)
        self._counted = -1
        if content is not None:
            self._counted, self._content = self._connection.total_changes, content

    def close(self) -> None:
        """Free the memory."""
        self._connection.close()

    def _tables(self) -> Sequence[str]:
        names = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        return [row[0] for row in names]


def figure(cents: int) -> float:
    """Return an amount in cents as tools show it: `1250` is `12.5`, and `1200` is `12`."""
    return cents // 100 if cents % 100 == 0 else cents / 100


def money(cents: int) -> str:
    """Return an amount as it is written: as it is shown."""
    return str(figure(cents))


@lru_cache(maxsize=4096)
def cents(given: float) -> int:
    """Return an amount that was given, in cents; raises `Refused` for a fraction of a cent or less than nothing."""
    found = round(given * 100)
    if given < 0 or abs(found - given * 100) > 1e-6:
        raise Refused(
            f"An amount is a number such as 12.50, not below 0, with two decimals at most; got {given}."
        )
    return found


def shown(row: Mapping[str, Any], *amounts: str) -> Row:
    """Return a row for a tool's result, with columns in cents as amounts."""
    return {name: figure(value) if name in amounts else value for name, value in row.items()}
