"""Memory items, where they come from, and what agents ask of a memory.

A version of an item is immutable and named by the hash of its content. What became of it (status, evidence, credit) is
kept beside it and never changes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agentgym.core.agent import EpisodeStart
from agentgym.core.errors import LeakError, UsageError
from agentgym.core.task import Split
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Episode, Versions


class ItemKind(StrEnum):
    """What a memory item is."""

    CASE = "case"
    """One episode: what was done, and whether it worked."""
    PRINCIPLE = "principle"
    """A rule distilled from episodes, to follow or to beware of."""
    WORKFLOW = "workflow"
    """A sequence of steps with variables."""
    SKILL = "skill"
    """Instructions with files: a `SKILL.md` directory."""
    TOOL = "tool"
    """A skill with code that can be called."""
    LAW = "law"
    """How the world behaves: a precondition and its effect."""


class ItemStatus(StrEnum):
    """Where a version stands; every change is an entry in a log."""

    CANDIDATE = "candidate"
    """Written, and not yet admitted."""
    SHADOW = "shadow"
    """Admitted, and shown now and then to find out whether it helps."""
    ACTIVE = "active"
    """In use."""
    QUARANTINED = "quarantined"
    """Suspected to do harm, itself or what it was made from."""
    RETIRED = "retired"
    """No longer of use. It can come back."""


class ItemOrigin(StrEnum):
    """Who wrote a version."""

    HUMAN = "human"
    EVOLVED = "evolved"
    IMPORTED = "imported"


class Stance(StrEnum):
    """What an episode says of an item."""

    SOURCE = "source"
    """The item was made from it."""
    CONFIRMS = "confirms"
    CONTRADICTS = "contradicts"


class Relation(StrEnum):
    """What one version has to do with another, older one."""

    CONTEXT = "context"
    """The other was shown in an episode that this one was made from, or to who wrote it."""
    DERIVED = "derived_from"
    MERGED = "merged_from"
    SUPERSEDES = "supersedes"
    CONFLICTS = "conflicts"
    REQUIRES = "requires"


INHERITING = frozenset({Relation.CONTEXT, Relation.DERIVED, Relation.MERGED, Relation.REQUIRES})
"""The relations by which harm is passed on: what is wrong with the other may be wrong with this one."""


@dataclass(frozen=True)
class MemoryItem:
    """One version of an item. Equal content means an equal `version`, wherever it was written.

    `key_text` is what it is found by (an intent, a description), `body` what is shown. `space` says whose it is,
    as a path such as `team/alice`: agents see their own space and those above it. `env_id` is empty where it is
    not about one environment. `files` are contents by relative path, `meta` is JSON data. Raises `UsageError`
    for what cannot be kept.
    """

    kind: ItemKind
    name: str
    key_text: str
    body: str
    space: str = ""
    env_id: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise UsageError(f"A memory item has a name; got {self.name!r} for a {self.kind.value}.")
        for name in ("name", "key_text", "body", "space", "env_id"):
            _keepable(f"{self.kind.value} {self.name!r:.80}: {name}", getattr(self, name))
        check_space(self.space)
        for path in self.files:
            check_file_path(path)

    def __hash__(self) -> int:
        return hash(self.version)

    @property
    def identity(self) -> str:
        """What the versions of one item share: the hash of space, kind and name (32 hex digits)."""
        return _sha256([self.space, self.kind.value, self.name])[:32]

    @cached_property
    def version(self) -> str:
        """The hash of the content: 64 hex digits of SHA-256."""
        files = {path: hashlib.sha256(data).hexdigest() for path, data in self.files.items()}
        content = [self.identity, self.env_id, self.key_text, self.body, files, dict(self.meta)]
        try:
            return _sha256(content)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{self.kind.value} {self.name!r}: meta is no JSON data ({error}).") from None


@dataclass(frozen=True, slots=True)
class Source:
    """An episode that an item rests on. `episode` is unique over runs, such as `RUN/EPISODE`."""

    episode: str
    task_key: str
    split: Split
    stance: Stance = Stance.SOURCE

    @classmethod
    def of(cls, episode: Episode, run: str = "", stance: Stance = Stance.SOURCE) -> Source:
        """Return what an episode is as a source. Raises `LeakError` for a task that agents are evaluated on."""
        name = f"{run}/{episode.id}" if run else episode.id
        source = cls(name, episode.task.key, episode.task.split, stance)
        source.check()
        return source

    def check(self) -> None:
        """Raise `LeakError` where the episode's task is not of the train split."""
        if self.split is not Split.TRAIN:
            raise LeakError(
                f"Episode {self.episode!r} plays a task of the split {self.split.value!r}: what agents are evaluated "
                "on may not enter a memory. Learn from episodes of the split 'train'."
            )


@dataclass(frozen=True, slots=True)
class Link:
    """A relation to another version."""

    relation: Relation
    version: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a version comes from: who wrote it, the episodes behind it, the versions it has to do with."""

    origin: ItemOrigin = ItemOrigin.HUMAN
    author: str = ""
    """A person, a model or a program."""
    sources: tuple[Source, ...] = ()
    links: tuple[Link, ...] = ()

    @classmethod
    def of(cls, *episodes: Episode, run: str = "", author: str = "") -> Provenance:
        """Return the provenance of what is written after `episodes`: the items shown in them are its context."""
        shown = {version for episode in episodes for turn in episode.turns for version in turn.shown_items}
        links = tuple(Link(Relation.CONTEXT, version) for version in sorted(shown))
        return cls(ItemOrigin.EVOLVED, author, tuple(Source.of(each, run) for each in episodes), links)


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def space(self) -> str:
        """Says which vectors can be compared: provider, model and whatever else changes them."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per text, shape (texts, dimensions); raises `InferenceFault`, never gives zeros for it."""
        ...


@dataclass(frozen=True, slots=True)
class Recollection:
    """What a memory shows an agent."""

    text: str = ""
    """The delimited block for the conversation; empty: nothing to say."""
    shown: tuple[str, ...] = ()
    """The versions in it."""
    withheld: tuple[str, ...] = ()
    """The versions that chance kept out of it."""
    barred: tuple[str, ...] = ()
    """The memory's tools that are not to be offered in this episode, by name: chance has withheld them."""


class Memory(Protocol):
    """What an agent can ask of a memory during an episode; it never writes to it."""

    @property
    def versions(self) -> Versions:
        """Which state of the memory this is; `policy` is left at -1."""
        ...

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """Tools by which agents that call tools can look further; may be empty."""
        ...

    async def recall(self, start: EpisodeStart, situation: str) -> Recollection:
        """Return what helps in `situation`, the first observation of the episode."""
        ...

    async def call(self, start: EpisodeStart, name: str, arguments: Mapping[str, Any]) -> Recollection:
        """Answer a call of one of `tools`; what is wrong with the call is said in the text."""
        ...


def check_space(space: str) -> None:
    """Raise `UsageError` for a space that no item can be in."""
    if space and any(part in ("", ".", "..") for part in space.split("/")):
        raise UsageError(f"A space is a path such as 'team/alice', got {space!r}.")


def check_file_path(path: str) -> None:
    """Raise `UsageError` for a file of an item whose path could leave the item's own directory."""
    pure = PurePosixPath(path)
    harmless = path and str(pure) == path and not pure.is_absolute() and ".." not in pure.parts
    if not harmless or "\\" in path or ":" in path or not path.isprintable():
        raise UsageError(
            f"Files of an item have relative paths inside it, such as 'scripts/run.py'; got {path!r}."
        )


def _keepable(what: str, text: str) -> None:
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise UsageError(f"{what} has characters that no database keeps (NUL or half of a surrogate pair).")


def _sha256(value: object) -> str:
    written = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(written.encode()).hexdigest()
