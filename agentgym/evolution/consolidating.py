"""Consolidation: a library says everything once. What is said elsewhere is retired, what belongs together is merged.

Retirement by lift is `agentgym.memory.credit.review`; here an item goes because another one has taken its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from agentgym.agents.follower.procedure import TASKS, WHEN, Procedure, read_procedures, read_prose
from agentgym.core.memory import (
    ItemKind,
    ItemOrigin,
    ItemStatus,
    Link,
    MemoryItem,
    Provenance,
    Relation,
)
from agentgym.evolution.proposing import Proposal
from agentgym.memory.skills.document import MAX_DESCRIPTION
from agentgym.memory.store.entries import Entry
from agentgym.memory.store.store import MemoryStore

AUTHOR = "consolidation"
LIVE = (ItemStatus.SHADOW, ItemStatus.ACTIVE)


class Retirement(NamedTuple):
    """A version that another one has taken the place of."""

    version: str
    by: str
    reason: str


def merges(store: MemoryStore, space: str, env_id: str) -> list[Proposal]:
    """Return, for every skill of which two versions in use come from different runs, one that has what both have.

    Two that evolve one library write the same skill from different episodes. Where both have a procedure for the
    same wish, or a file of the same name, that of the later version stays; what they say besides is kept from both.
    """
    found: list[Proposal] = []
    for entries in _by_item(_live(store, space, env_id)).values():
        if len(entries) < 2 or entries[-1].kind is not ItemKind.SKILL:
            continue
        items = store.get_all([entry.version for entry in entries])
        known = {version: store.provenance(version) for version in items}
        ordered = [items[entry.version] for entry in entries]
        last = ordered[-1]
        others = [
            item for item in ordered[:-1] if not _runs(known[item.version]) <= _runs(known[last.version])
        ]
        merged = _merged([*others, last])
        if others and merged is not None and merged.version not in items:
            found.append(
                Proposal(merged, _together([known[item.version] for item in [*others, last]], others, last))
            )
    return found


def retirements(store: MemoryStore, space: str, env_id: str) -> list[Retirement]:
    """Return the versions in use that have nothing to say which another one does not say.

    A version goes when a later one of its item is active, and an item when an older one of its kind reads the same, or
    when an active skill holds every procedure and every paragraph that it has. Of two that hold the same the older one stays: more is known
    of it.
    """
    entries = _live(store, space, env_id)
    items = store.get_all([entry.version for entry in entries])
    gone: dict[str, Retirement] = {}
    for own in _by_item(entries).values():
        newest = next((entry for entry in reversed(own) if entry.status is ItemStatus.ACTIVE), None)
        older = own[: own.index(newest)] if newest is not None else []
        for entry in older:
            gone[entry.version] = Retirement(entry.version, newest.version if newest else "", "superseded by")
    left = [entry for entry in entries if entry.version not in gone]
    for place, entry in enumerate(left):
        for other_place, other in enumerate(left):
            if other.version in gone or other.identity == entry.identity:
                continue
            why = _says_it_too(entry, items[entry.version], other, items[other.version], other_place < place)
            if why:
                gone[entry.version] = Retirement(entry.version, other.version, why)
                break
    return list(gone.values())


def _says_it_too(entry: Entry, item: MemoryItem, other: Entry, that: MemoryItem, older: bool) -> str:
    """Return why `item` is not needed beside `that`; empty where it is."""
    if entry.kind is not other.kind or dict(item.files) != dict(that.files):
        return ""
    if older and _plain(item.body) == _plain(that.body):
        return "reads the same as"
    own, theirs = _lines(item), _lines(that)
    said = _paragraphs(item) <= _paragraphs(that)
    covered = own and own <= theirs and said and (own < theirs or older)
    return "holds nothing that is not in" if covered and other.status is ItemStatus.ACTIVE else ""


def _live(store: MemoryStore, space: str, env_id: str) -> list[Entry]:
    return [
        entry
        for entry in store.entries()
        if entry.status in LIVE and entry.space == space and entry.env_id == env_id
    ]


def _by_item(entries: Iterable[Entry]) -> Mapping[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.identity, []).append(entry)
    return found


def _runs(provenance: Provenance) -> set[str]:
    return {source.episode.partition("/")[0] for source in provenance.sources}


def _merged(items: Sequence[MemoryItem]) -> MemoryItem | None:
    """Return the last item with what else the earlier ones have; None where none has a procedure."""
    by_trigger: dict[str, Procedure] = {}
    for item in items:
        for procedure in read_procedures(item.body):
            for trigger in procedure.triggers:
                by_trigger["{}".join(trigger.pieces)] = replace(procedure, triggers=(trigger,))
    by_steps: dict[tuple[str, ...], list[Procedure]] = {}
    for _, procedure in sorted(by_trigger.items()):
        by_steps.setdefault(tuple(map(str, procedure.steps)), []).append(procedure)
    whole = [
        Procedure(tuple(trigger for each in own for trigger in each.triggers), own[0].steps)
        for _, own in sorted(by_steps.items())
    ]
    if not whole:
        return None
    triggers = [str(trigger) for procedure in whole for trigger in procedure.triggers]
    described = _unlike(item.key_text.partition(TASKS)[0].strip() for item in reversed(items))
    prose = _unlike(paragraph for item in reversed(items) for paragraph in read_prose(item.body))
    # A wish without steps would be taken for one of the procedure that comes after it.
    after = [paragraph for paragraph in prose if WHEN in paragraph]
    before = [paragraph for paragraph in prose if WHEN not in paragraph]
    return replace(
        items[-1],
        key_text="\n".join([*described, TASKS, *triggers])[:MAX_DESCRIPTION],
        body="\n\n".join([*before, *map(str, whole), *after]),
        files={path: data for item in items for path, data in item.files.items()},
    )


def _unlike(texts: Iterable[str]) -> list[str]:
    """Return each text once that is not empty, as it is first written."""
    found: dict[str, str] = {}
    for text in filter(None, texts):
        found.setdefault(_plain(text), text)
    return list(found.values())


def _together(known: Sequence[Provenance], others: Sequence[MemoryItem], last: MemoryItem) -> Provenance:
    sources = sorted({source for each in known for source in each.sources}, key=lambda source: source.episode)
    links = [Link(Relation.MERGED, item.version) for item in [*others, last]]
    return Provenance(ItemOrigin.EVOLVED, AUTHOR, tuple(sources), tuple(links))


def _lines(item: MemoryItem) -> set[tuple[str, tuple[str, ...]]]:
    """Return each trigger of an item with its steps."""
    return {
        (str(trigger), tuple(map(str, procedure.steps)))
        for procedure in read_procedures(item.body)
        for trigger in procedure.triggers
    }


def _paragraphs(item: MemoryItem) -> set[str]:
    """Return what an item says besides its procedures."""
    return set(map(_plain, read_prose(item.body)))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
