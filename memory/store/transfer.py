"""Export and import: a memory as lines of JSON, checked as it comes in.

The first line says what it is; each other line is a row: `{"table": …, "row": {…}}`, in an order in which rows come after
those that they refer to. Bytes are in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, LargeBinary, select

from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.memory import ItemStatus
from agentgym.memory.store.rows import insert_new, read_items, table
from agentgym.memory.store.snapshots import snapshot_sha
from agentgym.memory.store.store import MemoryStore, status_row
from agentgym.memory.store.tables import (
    MEMORY,
    BlobRow,
    CheckRow,
    EdgeRow,
    ExposureRow,
    ItemRow,
    MemoryRow,
    OutcomeRow,
    SnapshotRow,
    SourceRow,
    StatusRow,
    VersionRow,
)

_CONTENT: tuple[type[MemoryRow], ...] = (BlobRow, ItemRow, VersionRow, SourceRow, EdgeRow)
_LOGS: tuple[type[MemoryRow], ...] = (StatusRow, CheckRow, ExposureRow, OutcomeRow, SnapshotRow)
_ROWS = {table(row).name: row for row in (*_CONTENT, *_LOGS)}


def export_memory(store: MemoryStore, path: Path) -> None:
    """Write everything but embeddings, which can be made again, to a file that must not be there yet."""
    header = {"format": "agentgym-memory", "version": MEMORY.version}
    try:
        with path.open("x", encoding="utf-8") as file, store.database.reading() as connection:
            for line in (header, *_lines(connection)):
                file.write(f"{json.dumps(line, ensure_ascii=False)}\n")
    except FileExistsError:
        raise UsageError(f"{path} is there already; exports do not overwrite: choose another path.") from None


def import_memory(store: MemoryStore, path: Path, *, trusted: bool) -> int:
    """Add what a file holds, all of it or nothing, and return how many versions are new.

    A file that is not `trusted` brings versions, their lineage and their sources, but no status, evidence or
    snapshots: its versions are candidates here. Raises `UsageError` for a file that is no export, or whose versions
    do not have the content that they are named by; `StoreFault` for sources of an evaluated split.
    """
    with store.database.writing() as connection:
        before = set(connection.execute(select(table(VersionRow).c.sha)).scalars())
        listed: list[str] = []
        for kind, rows in groupby(_read(path), key=lambda each: each[0]):
            if kind in _LOGS and not trusted:
                continue
            values = [row for _, row in rows]
            listed += [row["sha"] for row in values if kind is VersionRow]
            insert_new(connection, kind, values)
        fresh = [sha for sha in listed if sha not in before]
        _verify(connection, fresh, path)
        if not trusted:
            _name_candidates(connection, fresh, path)
    return len(fresh)


def _lines(connection: Connection) -> Iterator[dict[str, Any]]:
    for row in (*_CONTENT, *_LOGS):
        source = table(row)
        columns = [column for column in source.c if column.name != "seq"]
        for values in connection.execute(select(*columns).order_by(*source.primary_key)).mappings():
            yield {"table": source.name, "row": {name: _write(value) for name, value in values.items()}}


def _write(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _read(path: Path) -> Iterator[tuple[type[MemoryRow], dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                data = json.loads(line)
                if number > 1:
                    yield _row(data)
                elif data != {"format": "agentgym-memory", "version": MEMORY.version}:
                    raise UsageError(f"its first line is {line.strip():.80}")
            except (KeyError, TypeError, ValueError, binascii.Error) as error:
                raise UsageError(
                    f"{path}, line {number}: not part of a memory's export of version {MEMORY.version} ({error})."
                ) from None


def _row(data: Mapping[str, Any]) -> tuple[type[MemoryRow], dict[str, Any]]:
    name, row = data["table"], data["row"]
    if name not in _ROWS:
        raise UnknownNameError("table", name, _ROWS)
    columns = {column.name: column for column in table(_ROWS[name]).c if column.name != "seq"}
    if set(row) != set(columns):
        raise UsageError(f"columns {sorted(row)} in place of {sorted(columns)}")
    binary = {name for name, column in columns.items() if isinstance(column.type, LargeBinary)}
    return _ROWS[name], {
        key: base64.b64decode(value, validate=True) if key in binary else value for key, value in row.items()
    }


def _verify(connection: Connection, versions: Iterable[str], path: Path) -> None:
    read_items(connection, list(versions))  # raises where a version has other content than its name says
    blob, snapshot = table(BlobRow), table(SnapshotRow)
    blobs = all(hashlib.sha256(row.data).hexdigest() == row.sha for row in connection.execute(select(blob)))
    snapshots = all(
        snapshot_sha(json.loads(row.members_json)) == row.sha for row in connection.execute(select(snapshot))
    )
    if not blobs or not snapshots:
        raise UsageError(
            f"{path} has files or snapshots with other content than they are named by; get the export again."
        )


def _name_candidates(connection: Connection, versions: Iterable[str], path: Path) -> None:
    rows = (status_row(version, ItemStatus.CANDIDATE, f"imported from {path.name}") for version in versions)
    insert_new(connection, StatusRow, rows)
