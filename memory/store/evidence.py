"""`EvidenceLog`: what was tested, what was shown and withheld, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import select

from agentgym.core.errors import UnknownNameError
from agentgym.memory.store.rows import digest, insert_new, require, table
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import CheckRow, ExposureRow, OutcomeRow

EvidenceRow: TypeAlias = CheckRow | ExposureRow | OutcomeRow
Row = TypeVar("Row", CheckRow, ExposureRow, OutcomeRow)


class EvidenceLog:
    """The checks, exposures and outcomes in a memory. They are only ever added to."""

    def __init__(self, store: MemoryStore) -> None:
        self._database = store.database

    def add(self, rows: Sequence[EvidenceRow]) -> None:
        """Write rows in one transaction; those that are there already are left as they are.

        Raises `UsageError` for a version that is not in the memory.
        """
        by_kind: dict[type[EvidenceRow], list[dict[str, Any]]] = {}
        for row in rows:
            by_kind.setdefault(type(row), []).append(_values(row))
        with self._database.writing() as connection:
            for kind, values in by_kind.items():
                require(connection, (value["sha"] for value in values if "sha" in value))
                insert_new(connection, kind, values)

    def rows(self, kind: type[Row], **equal: object) -> list[Row]:
        """Return the rows of a kind whose columns have the given values, in a fixed order.

        Raises `UnknownNameError` for a column that there is not.
        """
        log = table(kind)
        for name in set(equal) - set(log.c.keys()):
            raise UnknownNameError("column", name, log.c.keys())
        query = select(log).where(*(log.c[name] == value for name, value in equal.items()))
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(*log.primary_key)).mappings()
            return [kind(**{str(name): value for name, value in row.items()}) for row in found]


def _values(row: EvidenceRow) -> dict[str, Any]:
    if not isinstance(row, CheckRow):
        return row.model_dump()
    values = row.model_dump(exclude={"seq", "digest"})
    return {**values, "digest": digest(values)}
