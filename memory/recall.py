"""`Recall`: what agents ask of a snapshot of a memory; implements `agentgym.core.memory.Memory`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from agentgym.core.agent import EpisodeStart
from agentgym.core.errors import ConfigError, did_you_mean
from agentgym.core.memory import ItemKind, ItemStatus, MemoryItem, Recollection
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Versions
from agentgym.memory.rendering import (
    TokenCounter,
    about_tokens,
    neutral,
    render_block,
    within_budget,
)
from agentgym.memory.retrieval.library import DEFAULT_K, Hit, Library, Query
from agentgym.memory.scan import scan
from agentgym.memory.store.snapshots import snapshot_sha
from agentgym.memory.store.store import MemoryStore

Retriever: TypeAlias = Literal["both", "bm25", "ngrams"]
Dressing: TypeAlias = Callable[[Library, MemoryStore], None]
"""Adds to what a state of a memory is searched by, such as embeddings."""

LOAD_SKILL = ToolSpec(
    "load_skill",
    "Read the whole of a skill in your memory whose name and description you have seen.",
    {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
)

_WIDER = 4
"""How many times as many items as are wanted a `Chooser` is given."""

_log = logging.getLogger(__name__)


class Chooser(Protocol):
    """Says which of the items that fit help most, such as `agentgym.memory.case_selector.CaseSelector`."""

    def best(self, situation: str, cases: Sequence[MemoryItem], k: int) -> list[MemoryItem]:
        """Return at most `k` of the items, the best first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallSettings:
    """What is shown."""

    k: int = DEFAULT_K
    """Most items."""
    kinds: tuple[ItemKind, ...] = tuple(ItemKind)
    space: str = ""
    """The agent's own; it sees the spaces above it too."""
    token_budget: int = 1000
    """Most tokens of the block."""
    retriever: Retriever = "both"
    """By what items are found: BM25, words and parts of words (`ngrams`), or both, fused."""
    load_skills: bool = False
    """Show skills by name and description, with a tool to read the rest: for agents that call tools."""

    def __post_init__(self) -> None:
        if self.k < 0 or self.token_budget < 0:
            raise ConfigError(f"k and token_budget are not below 0, got {self.k} and {self.token_budget}.")


class Recall:
    """Shows what a snapshot has for the situation at the beginning of an episode.

    The snapshot is fixed, and nothing is written: evaluations may use it. Items in which a scan finds something are
    never shown, whatever their status.
    """

    def __init__(
        self,
        store: MemoryStore,
        snapshot: str,
        settings: RecallSettings | None = None,
        *,
        count: TokenCounter = about_tokens,
        chooser: Chooser | None = None,
        dress: Dressing | None = None,
    ) -> None:
        """Open a snapshot of the store. Raises `UsageError` where there is none of this hash, and what `dress` does."""
        self.settings = settings or RecallSettings()
        self._chooser = chooser
        self._store = store
        self._count = count
        members = set(store.snapshot(snapshot))
        entries = [
            entry._replace(status=ItemStatus.ACTIVE) for entry in store.entries() if entry.version in members
        ]
        self.library = Library(entries)
        if self.settings.retriever != "both":
            self.library.rankers = [
                ranker for ranker in self.library.rankers if ranker.name == self.settings.retriever
            ]
        if dress is not None:
            dress(self.library, store)
        of_kind = {
            kind: snapshot_sha(entry.version for entry in entries if entry.kind is kind) for kind in ItemKind
        }
        self._versions = Versions(
            memory=snapshot, skills=of_kind[ItemKind.SKILL], tools=of_kind[ItemKind.TOOL]
        )

    @property
    def versions(self) -> Versions:
        """The snapshot, and the parts of it that are skills and tools."""
        return self._versions

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """`load_skill`, where skills are shown by their descriptions."""
        return (LOAD_SKILL,) if self.settings.load_skills else ()

    async def recall(self, start: EpisodeStart, situation: str) -> Recollection:
        """Return the items that fit the situation best, within the budget."""
        hits = await self.candidates(start, situation)
        return self.show([hit.entry.version for hit in hits])

    async def candidates(self, start: EpisodeStart, situation: str) -> list[Hit]:
        """Return what there is to choose from, the best first."""
        settings = self.settings
        wanted = settings.k * (1 if self._chooser is None else _WIDER)
        query = Query(situation, wanted, settings.kinds, settings.space, start.task.world)
        if self.library.waits:
            hits = await asyncio.to_thread(self.library.search, query)
        else:  # in order: what episodes ask the policy together, and so its sums of floats, depend on no thread
            hits = self.library.search(query)
        if self._chooser is None:
            return hits
        found = {hit.entry.version: hit for hit in hits}
        items = self._store.get_all(list(found))
        chosen = self._chooser.best(situation, [items[version] for version in found], settings.k)
        return [found[item.version] for item in chosen]

    def show(self, versions: Sequence[str]) -> Recollection:
        """Return the block with those of the versions that are clean and within the budget."""
        items = self._store.get_all(versions)
        clean = [items[version] for version in versions if self._is_clean(items[version])]
        whole = not self.settings.load_skills
        chosen = within_budget(clean, self.settings.token_budget, whole_skills=whole, count=self._count)
        return Recollection(render_block(chosen, whole_skills=whole), tuple(item.version for item in chosen))

    async def call(self, start: EpisodeStart, name: str, arguments: Mapping[str, Any]) -> Recollection:
        """Answer a call of `load_skill`: the whole skill, or what is wrong with the call."""
        wanted = arguments.get("name")
        settings = self.settings
        query = Query("", 0, (ItemKind.SKILL, ItemKind.TOOL), settings.space, start.task.world)
        allowed = self.library.allowed(query)
        seen = [entry for entry, may in zip(self.library.entries, allowed, strict=True) if may]
        # Of two with one name that of the nearer space is meant.
        skills = {entry.name: entry for entry in sorted(seen, key=lambda entry: len(entry.space))}
        if name != LOAD_SKILL.name or wanted not in skills:
            return Recollection(f"There is no skill {wanted!r}.{did_you_mean(str(wanted), skills)}")
        item = self._store.get(skills[wanted].version)
        if not self._is_clean(item):
            return Recollection(
                f"The skill {wanted!r} is not to be read: it holds what looks like an attack."
            )
        return Recollection(f"Notes of the skill {item.name}:\n{neutral(item.body)}", (item.version,))

    def _is_clean(self, item: MemoryItem) -> bool:
        findings = scan(item)
        if findings:
            first = findings[0]
            _log.warning("%s %r is not shown: %s in its %s.", item.kind, item.name, first.rule, first.where)
        return not findings
