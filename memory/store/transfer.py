"""Export and import: a memory as lines of JSON, checked as it comes in.

The first line says what it is; each other line is a row: `{"table": …, "row": {…}}`, in an order in which rows come after
those that they refer to. Bytes are in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, LargeBinary, select

from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.memory import ItemKind, ItemStatus, MemoryItem, Stance
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
    snapshots: its versions are candidates here, and it says nothing of those that are here already. Raises
    `UsageError` for a file that is no export, or whose items and versions do not have the content that they are named
    by; `StoreFault` for that too, and for sources of an evaluated split.
    """
    if not path.is_file():
        raise UsageError(f"There is no export of a memory at {path}; check the path.")
    with store.database.writing() as connection:
        before = set(connection.execute(select(table(VersionRow).c.sha)).scalars())
        fresh: dict[str, None] = {}
        for kind, rows in groupby(_read(path), key=lambda each: each[0]):
            values = [row for _, row in rows]
            if kind is VersionRow:
                fresh |= dict.fromkeys(row["sha"] for row in values if row["sha"] not in before)
            insert_new(connection, kind, (row for row in values if trusted or _is_own(kind, row, fresh)))
        _verify(connection, fresh, path)
        if not trusted:
            _name_candidates(connection, fresh, path)
    return len(fresh)


def _is_own(kind: type[MemoryRow], row: Mapping[str, Any], fresh: Collection[str]) -> bool:
    """Whether a row says something of the file's own versions, and nothing of how they did."""
    if kind is SourceRow:
        return row["sha"] in fresh and row["stance"] == Stance.SOURCE
    return row["src"] in fresh if kind is EdgeRow else kind not in _LOGS


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
                    kind, row = _row(data)
                    if kind is ItemRow:
                        _check_identity(row)
                    yield kind, row
                elif data != {"format": "agentgym-memory", "version": MEMORY.version}:
                    raise UsageError(f"its first line is {line.strip():.80}")
            except (AttributeError, KeyError, TypeError, ValueError, binascii.Error) as error:
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


def _check_identity(row: Mapping[str, Any]) -> None:
    """Raise where an item's id is not that of its content: it would take the place of another item."""
    item = MemoryItem(ItemKind(row["kind"]), row["name"], "", "", row["space"])
    if item.identity != row["id"]:
        raise UsageError(f"the item {item.name!r:.80} has the id of another one")


def _verify(connection: Connection, versions: Iterable[str], path: Path) -> None:
    try:
        read_items(connection, list(versions))  # raises where a version has other content than its name says
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} has a version that cannot be read: {error}") from None
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
