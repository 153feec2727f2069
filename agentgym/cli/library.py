"""What the `agentgym memory` commands find in a memory, tell of it, and bring into it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.memory import ItemKind, ItemOrigin, ItemStatus, MemoryItem, Provenance
from agentgym.evaluation.tables import plain
from agentgym.memory.quarantine import release
from agentgym.memory.skills.folder import SKILL_FILE, read_skill, read_skills, write_skill
from agentgym.memory.store.entries import Entry
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import CheckRow, ExposureRow
from agentgym.memory.store.transfer import export_memory, import_memory
from agentgym.memory.tools.importing import imported_tool

AUTHOR = "user"
"""Who a status log says decided, where a person did."""

_SHORT = 8
"""Digits of a version in tables; they can be used as they stand there."""
_LEAST = 4
"""Fewer digits are a name."""


def find_entry(store: MemoryStore, wanted: str) -> Entry:
    """Return the entry of a version, by the beginning of its hash, or the latest version of the item with a name.

    Raises `UnknownNameError` where there is none, `UsageError` where there are several.
    """
    entries = store.entries()
    named = [entry for entry in entries if entry.name == wanted]
    if len({entry.identity for entry in named}) > 1:
        raise _several(wanted, named)
    if named:
        return named[-1]
    found = [entry for entry in entries if len(wanted) >= _LEAST and entry.version.startswith(wanted)]
    if len(found) > 1:
        raise _several(wanted, found)
    if not found:
        raise UnknownNameError("memory item", wanted, {entry.name for entry in entries})
    return found[0]


def _several(wanted: str, found: Sequence[Entry]) -> UsageError:
    told = ", ".join(
        f"{entry.version[:_SHORT]} ({entry.kind.value} in {entry.space or '/'!r})" for entry in found
    )
    return UsageError(f"Several items are meant by {wanted!r}; name one by its version: {told}.")


def entry_data(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON data."""
    return {
        "version": entry.version,
        "kind": entry.kind.value,
        "name": entry.name,
        "space": entry.space,
        "env_id": entry.env_id,
        "status": entry.status.value,
        "key_text": entry.key_text,
    }


def entries_table(entries: Sequence[Entry]) -> Table:
    """Return a row for each entry."""
    table = Table(box=None)
    for heading in ("version", "kind", "status", "name", "space"):
        table.add_column(heading, no_wrap=heading != "name")
    for entry in entries:
        cells = (entry.version[:_SHORT], entry.kind.value, entry.status.value)
        table.add_row(*cells, plain(entry.name), plain(entry.space or "/"))
    return table


def item_data(store: MemoryStore, entry: Entry) -> dict[str, Any]:
    """Return all that is known of a version as JSON data; files that are no text are told by their size."""
    item, provenance, log = store.get(entry.version), store.provenance(entry.version), EvidenceLog(store)
    exposures = log.rows(ExposureRow, sha=entry.version)
    return {
        **entry_data(entry),
        "body": item.body,
        "meta": dict(item.meta),
        "files": {path: _text(data) for path, data in sorted(item.files.items())},
        "origin": provenance.origin.value,
        "author": provenance.author,
        "sources": [
            {"episode": source.episode, "task": source.task_key, "stance": source.stance.value}
            for source in provenance.sources
        ],
        "links": [{"relation": link.relation.value, "version": link.version} for link in provenance.links],
        "status_log": [
            {"status": each.status.value, "reason": each.reason, "author": each.author, "at": each.at}
            for each in store.status_log(entry.version)
        ],
        "checks": [
            {**json.loads(row.report_json), "at": row.at} for row in log.rows(CheckRow, sha=entry.version)
        ],
        "exposures": {
            "shown": sum(row.shown for row in exposures),
            "withheld": sum(not row.shown for row in exposures),
        },
    }


def item_text(data: dict[str, Any]) -> RenderableType:
    """Return what `item_data` has for a reader: what it says, what became of it, where it comes from."""
    head = f"{data['kind']} {data['name']} in {data['space'] or '/'}"
    lines = [Text(head, style="bold"), plain(f"version {data['version']}"), plain(data["key_text"]), Text()]
    lines += [plain(line) for line in data["body"].splitlines()]
    for path, text in data["files"].items():
        lines += [Text(), Text.assemble("file ", (path, "bold")), *map(plain, text.splitlines())]
    table = Table(box=None, title="status", title_justify="left")
    for heading in ("when", "status", "who", "why"):
        table.add_column(heading, no_wrap=heading != "why")
    for change in data["status_log"]:
        table.add_row(change["at"][:16], change["status"], plain(change["author"]), plain(change["reason"]))
    seen = data["exposures"]
    origin = f"{data['origin']} {data['author']}".strip()
    lineage = [f"{link['relation']} {link['version'][:_SHORT]}" for link in data["links"]]
    told = [
        f"written by: {origin}",
        f"episodes behind it: {len(data['sources'])}; shown in {seen['shown']}, withheld from {seen['withheld']}",
        *([f"lineage: {', '.join(lineage)}"] if lineage else []),
    ]
    return Group(*lines, Text(), *map(plain, told), table)


def write_items(store: MemoryStore, entries: Sequence[Entry], target: Path) -> list[Path]:
    """Write skills and tools as directories below `target`, or the whole memory to the file `target`."""
    if not entries:
        export_memory(store, target)
        return [target]
    return [write_skill(store.get(entry.version), target, status=entry.status.value) for entry in entries]


def read_items_from(store: MemoryStore, source: Path, *, space: str, trusted: bool) -> list[str]:
    """Bring in what `source` holds and return notes on it.

    That is a memory's export, a skill or tool directory, a folder of them, or a module in the form of Yunjue's tools
    (`.py`). All of it or nothing comes in, as candidates; a trusted export brings its status, too. Raises `UsageError`
    for what is none of these, or broken.
    """
    if source.is_dir():
        skills = (
            [read_skill(source, space=space)]
            if (source / SKILL_FILE).exists()
            else read_skills(source, space=space)
        )
        if not skills:
            raise UsageError(f"{source} has no {SKILL_FILE}, nor any folder in it.")
        _put(store, [skill.item for skill in skills])
        return [
            *(f"{skill.item.kind.value} {skill.item.name}" for skill in skills),
            *(n for s in skills for n in s.notes),
        ]
    if source.suffix == ".py" and source.is_file():
        try:
            item = imported_tool(source.read_text("utf-8"), space=space)
        except UnicodeDecodeError as error:
            raise UsageError(f"{source} is not UTF-8: {error}.") from None
        _put(store, [item])
        return [f"tool {item.name}"]
    if space:
        raise UsageError("--space is for skills and tools; the items of an export have spaces of their own.")
    return [f"{import_memory(store, source, trusted=trusted)} new versions"]


def _put(store: MemoryStore, items: Sequence[MemoryItem]) -> None:
    store.put_all([(item, Provenance(ItemOrigin.IMPORTED, AUTHOR)) for item in items])


def _text(data: bytes) -> str:
    return f"({len(data):,} bytes)" if b"\0" in data else data.decode("utf-8", "replace")


def restored(store: MemoryStore, wanted: str, reason: str) -> list[str]:
    """Make an item a candidate again, with what was in quarantine on its account alone, and return the versions.

    Raises `UsageError` for one that is neither retired nor in quarantine, or is there on another's account.
    """
    entry = find_entry(store, wanted)
    what = f"{entry.kind.value} {entry.name!r}"
    if entry.status is ItemStatus.RETIRED:
        store.set_status(entry.version, ItemStatus.CANDIDATE, reason=reason, author=AUTHOR)
        return [entry.version]
    if entry.status is not ItemStatus.QUARANTINED:
        raise UsageError(f"{what} is {entry.status.value}: neither retired nor in quarantine.")
    released = release(store, entry.version, reason=reason, author=AUTHOR)
    if not released:
        suspects, every = store.ancestors(entry.version), store.entries()
        held = [e.name for e in every if e.version in suspects and e.status is ItemStatus.QUARANTINED]
        raise UsageError(
            f"{what} stays in quarantine for what it was made from ({', '.join(held)}); restore that first."
        )
    return released


def parse_status(name: str | None) -> tuple[ItemStatus, ...]:
    """Return a status by its name, or all for None; raises `UnknownNameError`."""
    if name is None:
        return tuple(ItemStatus)
    if name not in set(ItemStatus):
        raise UnknownNameError("status", name, [status.value for status in ItemStatus])
    return (ItemStatus(name),)


def parse_kind(name: str) -> ItemKind:
    """Return a kind by its name; raises `UnknownNameError`."""
    if name not in set(ItemKind):
        raise UnknownNameError("kind", name, [kind.value for kind in ItemKind])
    return ItemKind(name)
