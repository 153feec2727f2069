"""`PrincipleBook`: principles distilled, merged, scored and retired (EvolveR, arXiv 2510.16079)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentgym.core.errors import ConfigError
from agentgym.core.memory import (
    ItemKind,
    ItemOrigin,
    ItemStatus,
    Link,
    MemoryItem,
    Provenance,
    Relation,
    Source,
    Stance,
)
from agentgym.core.trace import Episode
from agentgym.memory.principles.distilling import Advice, Distiller, Draft, Judge
from agentgym.memory.principles.scoring import Record
from agentgym.memory.retrieval.library import Library, Query
from agentgym.memory.scan import scan
from agentgym.memory.store.entries import Entry
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.transcripts import Transcript

IN_USE = frozenset({ItemStatus.CANDIDATE, ItemStatus.SHADOW, ItemStatus.ACTIVE})
"""What a new principle is compared with."""

_NEIGHBOURS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSettings:
    """When two principles are taken for one. Similarity is 1 for the same words and 0 for none in common."""

    same: float = 0.85
    """From here on without asking."""
    similar: float = 0.4
    """From here on if the judge says so; there is no asking without a judge."""

    def __post_init__(self) -> None:
        if not 0 < self.similar <= self.same <= 1:
            raise ConfigError(f"0 < similar <= same <= 1 does not hold for {self.similar} and {self.same}.")


class PrincipleBook:
    """The principles of one space, about one environment or (`env_id` empty) about any."""

    def __init__(
        self,
        store: MemoryStore,
        *,
        space: str = "",
        env_id: str = "",
        judge: Judge | None = None,
        settings: BookSettings | None = None,
    ) -> None:
        self._store = store
        self._space = space
        self._env_id = env_id
        self._judge = judge
        self.settings = settings or BookSettings()
        self._advices: dict[str, Advice] = {}

    async def learn(self, episodes: Sequence[Episode], distiller: Distiller, *, run: str = "") -> list[str]:
        """Distil the scored episodes of one task and return the versions they gave, or gave evidence for.

        A principle that is there already gains the episodes as evidence for it, a warning that a failure confirms
        too. What a scan finds suspicious goes into quarantine. Raises `LeakError`, before anything is distilled,
        where an episode plays a task that agents are evaluated on. Where distilling fails nothing is written.
        """
        scored = [episode for episode in episodes if episode.outcome.scored]
        provenance = Provenance.of(*scored, run=run, author=distiller.name)
        drafts = await distiller.distil([Transcript.of(episode) for episode in scored])
        learned: list[str] = []
        for draft in drafts:
            known = await self._find(draft)
            if known is None:
                learned.append(self._add(draft, provenance))
            else:
                self._confirm(known, provenance)
                learned.append(known)
        return list(dict.fromkeys(learned))

    def note_use(self, episode: Episode, *, run: str = "") -> None:
        """Note for every principle that was shown in an episode whether the episode succeeded.

        Nothing is noted for an episode without a score. Raises `LeakError` for a task that agents are evaluated on.
        """
        if not episode.outcome.scored:
            return
        stance = Stance.CONFIRMS if episode.success else Stance.CONTRADICTS
        source = Source.of(episode, run, stance)
        principles = {entry.version for entry in self._store.entries([ItemKind.PRINCIPLE])}
        for version in sorted(
            {version for turn in episode.turns for version in turn.shown_items} & principles
        ):
            self._store.add_evidence(version, source)

    def record(self, version: str) -> Record:
        """Return what speaks for and against a principle, counted anew."""
        return Record.of(self._store.provenance(version))

    def consolidate(self) -> list[str]:
        """Merge principles that have become the same and return the new versions.

        Of each cluster the principle with the most uses gives the words; the new version has the evidence of all of
        them, and they are retired, not deleted.
        """
        merged: list[str] = []
        for entries in map(self._entries_of, Advice):
            library, left = Library(entries), {entry.version for entry in entries}
            for entry in entries:
                if entry.version not in left:
                    continue
                cluster = [entry.version, *(left & self._alike(entry, library))]
                if len(cluster) > 1:
                    merged.append(self._merge(sorted(cluster)))
                left -= set(cluster)
        return merged

    def retire_useless(self) -> list[str]:
        """Retire the principles that the evidence says are of no use, and return them."""
        useless = [entry.version for entry in self._entries() if self.record(entry.version).useless]
        for version in useless:
            record = self.record(version)
            reason = f"confirmed in {record.confirmed} of {record.uses} uses"
            self._store.set_status(version, ItemStatus.RETIRED, reason=reason, author="principles")
        return useless

    async def _find(self, draft: Draft) -> str | None:
        """Return the principle that says what the draft says already."""
        library = Library(self._entries_of(draft.advice))
        query = Query(draft.text, _NEIGHBOURS, (ItemKind.PRINCIPLE,), self._space, self._env_id, IN_USE)
        for hit in library.search(query):
            if hit.similarity >= self.settings.same:
                return hit.entry.version
            close = hit.similarity >= self.settings.similar
            if close and self._judge is not None and await self._judge.same(draft.text, hit.entry.key_text):
                return hit.entry.version
        return None

    def _add(self, draft: Draft, provenance: Provenance) -> str:
        item = MemoryItem(
            ItemKind.PRINCIPLE,
            principle_name(draft.text),
            draft.text,
            draft.text if draft.advice is Advice.GUIDING else f"Beware: {draft.text}",
            space=self._space,
            env_id=self._env_id,
            meta={"advice": draft.advice.value},
        )
        version = self._store.put(item, provenance)
        for finding in scan(item)[:1]:
            self._store.set_status(
                version, ItemStatus.QUARANTINED, reason=f"{finding.rule}: {finding.excerpt}"
            )
        return version

    def _confirm(self, version: str, provenance: Provenance) -> None:
        sources = self._store.provenance(version).sources
        own = {source.episode for source in sources if source.stance is Stance.SOURCE}
        fresh = [source for source in provenance.sources if source.episode not in own]
        confirming = (Source(s.episode, s.task_key, s.split, Stance.CONFIRMS) for s in fresh)
        self._store.add_evidence(version, *confirming)

    def _merge(self, versions: Sequence[str]) -> str:
        records = {version: self.record(version) for version in versions}
        best = max(versions, key=lambda version: (records[version].uses, records[version].score, version))
        item = self._store.get(best)
        merged = MemoryItem(
            item.kind,
            item.name,
            item.key_text,
            item.body,
            item.space,
            item.env_id,
            meta={**item.meta, "merged": sorted(versions)},
        )
        sources = tuple(source for version in versions for source in self._store.provenance(version).sources)
        links = tuple(Link(Relation.MERGED, version) for version in versions)
        new = self._store.put(merged, Provenance(ItemOrigin.EVOLVED, "principles", sources, links))
        statuses = {entry.version: entry.status for entry in self._entries()}
        if any(statuses.get(version) is ItemStatus.ACTIVE for version in versions):
            self._store.set_status(
                new, ItemStatus.ACTIVE, reason="merged from active principles", author="principles"
            )
        for version in versions:
            self._store.set_status(
                version, ItemStatus.RETIRED, reason=f"merged into {new}", author="principles"
            )
        return new

    def _alike(self, entry: Entry, library: Library) -> set[str]:
        """Return the other principles of a library that say the same."""
        query = Query(entry.key_text, len(library), (ItemKind.PRINCIPLE,), self._space, self._env_id, IN_USE)
        hits = library.search(query)
        return {hit.entry.version for hit in hits if hit.similarity >= self.settings.same} - {entry.version}

    def _entries(self) -> list[Entry]:
        """Return the principles in use of exactly this space and environment, found by their words alone."""
        return [
            entry._replace(name="")
            for entry in self._store.entries([ItemKind.PRINCIPLE])
            if entry.status in IN_USE and (entry.space, entry.env_id) == (self._space, self._env_id)
        ]

    def _entries_of(self, advice: Advice) -> list[Entry]:
        """Return those that are advice of one kind. What a version says never changes, so that it is read once."""
        entries = self._entries()
        unread = [entry.version for entry in entries if entry.version not in self._advices]
        for version, item in self._store.get_all(unread).items():
            self._advices[version] = Advice(item.meta.get("advice", Advice.GUIDING))
        return [entry for entry in entries if self._advices[entry.version] is advice]


def principle_name(text: str) -> str:
    """Return a name for a principle: its first words, and a hash of the whole.

    >>> principle_name("Open a fridge before you look into it.")
    'open-a-fridge-before-you-799627'
    """
    start = "-".join(re.findall(r"[a-z0-9]+", text.lower())[:5]) or "principle"
    return f"{start}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
