"""Items as rows, and rows as items."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from agentgym.core.errors import StoreFault, UsageError
from agentgym.core.memory import ItemKind, MemoryItem, Provenance
from agentgym.memory.store.tables import BlobRow, ItemRow, MemoryRow, VersionRow

_CHUNK = 500
"""Values in one `IN (…)`; rows in one insertion."""

T = TypeVar("T")


def table(row: type[MemoryRow]) -> Table:
    """Return the table behind a row's class."""
    return row.__table__  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """Yield the values in lists of a size that every database takes at once."""
    left = iter(values)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk


def insert_new(connection: Connection, row: type[MemoryRow], rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows; those that are there already are left as they are."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for chunk in chunks(rows):
        connection.execute(dialect.insert(table(row)).on_conflict_do_nothing(), chunk)


def canonical(value: object) -> str:
    """Return JSON that is equal for equal content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(*values: object) -> str:
    """Return 32 hex digits that are equal for equal JSON content."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()[:32]


def now() -> str:
    """Return the time in UTC, ISO 8601, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def just_after(at: str) -> str:
    """Return the time a microsecond after one of `now`'s."""
    return (datetime.fromisoformat(at) + timedelta(microseconds=1)).isoformat(timespec="microseconds")


def item_row(item: MemoryItem) -> dict[str, Any]:
    """Return the row that the item's versions share."""
    return {"id": item.identity, "space": item.space, "kind": item.kind.value, "name": item.name}


def version_row(item: MemoryItem, provenance: Provenance, at: str) -> dict[str, Any]:
    """Return the row of one version."""
    return {
        "sha": item.version,
        "item_id": item.identity,
        "env_id": item.env_id,
        "key_text": item.key_text,
        "body": item.body,
        "files_json": canonical({path: _sha256(data) for path, data in item.files.items()}),
        "meta_json": canonical(dict(item.meta)),
        "origin": provenance.origin.value,
        "author": provenance.author,
        "created": at,
    }


def blob_rows(items: Iterable[MemoryItem]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the items' files."""
    for item in items:
        yield from ({"sha": _sha256(data), "data": data} for data in item.files.values())


def read_items(connection: Connection, versions: Sequence[str]) -> dict[str, MemoryItem]:
    """Return the versions that there are of those asked for; raises `StoreFault` where one has been tampered with."""
    item, version = table(ItemRow), table(VersionRow)
    found: dict[str, MemoryItem] = {}
    for chunk in chunks(dict.fromkeys(versions)):
        query = select(version, item.c.space, item.c.kind, item.c.name).join(item)
        rows = connection.execute(query.where(version.c.sha.in_(chunk))).mappings().all()
        blobs = _read_blobs(
            connection, {sha for row in rows for sha in json.loads(row["files_json"]).values()}
        )
        found |= {row["sha"]: _item(row, blobs) for row in rows}
    return found


def require(connection: Connection, versions: Iterable[str]) -> None:
    """Raise `UsageError` where one of the versions is not in the memory."""
    sha = table(VersionRow).c.sha
    for chunk in chunks(dict.fromkeys(versions)):
        missing = set(chunk) - set(connection.execute(select(sha).where(sha.in_(chunk))).scalars())
        if missing:
            raise UsageError(
                f"There is no version {min(missing)!r} in this memory; write or import it first."
            )


def _read_blobs(connection: Connection, shas: set[str]) -> dict[str, bytes]:
    blob = table(BlobRow)
    rows = (
        row
        for chunk in chunks(sorted(shas))
        for row in connection.execute(select(blob).where(blob.c.sha.in_(chunk)))
    )
    return {row.sha: bytes(row.data) for row in rows}


def _item(row: RowMapping, blobs: Mapping[str, bytes]) -> MemoryItem:
    files = {path: blobs.get(sha, b"") for path, sha in json.loads(row["files_json"]).items()}
    item = MemoryItem(
        kind=ItemKind(row["kind"]),
        name=row["name"],
        key_text=row["key_text"],
        body=row["body"],
        space=row["space"],
        env_id=row["env_id"],
        files=files,
        meta=json.loads(row["meta_json"]),
    )
    if item.version != row["sha"]:
        raise StoreFault(
            f"Version {row['sha']} of {item.kind.value} {item.name!r} no longer has the content that it is named by: "
            "the database was changed from outside. Go on from an export."
        )
    return item


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
