"""`Library`: a state of a memory that can be searched."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from agentgym.core.memory import ItemKind, ItemStatus
from agentgym.memory.retrieval.bm25 import Bm25
from agentgym.memory.retrieval.fusion import fuse, top
from agentgym.memory.retrieval.ngrams import Ngrams
from agentgym.memory.retrieval.words import Corpus
from agentgym.memory.store.entries import Entry, current, sees

DEFAULT_K = 4
"""More items than this bring little, and cost tokens (Memento, arXiv 2508.16153, table of K)."""

_DEPTH = 50
"""Places of each ranking that are fused, or four times as many as are asked for."""


class Ranker(Protocol):
    """Scores all texts of a library at once."""

    @property
    def name(self) -> str:
        """For listings."""
        ...

    def scores(self, text: str) -> NDArray[np.float32]:
        """Return how well each text fits, shape (texts,); 0 and below: not at all."""
        ...


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for. `space` is the space of the one who looks: seen are it and those above it."""

    text: str
    k: int = DEFAULT_K
    kinds: tuple[ItemKind, ...] = tuple(ItemKind)
    space: str = ""
    env_id: str = ""
    """Items about another environment are left out; empty: none are."""
    statuses: frozenset[ItemStatus] = frozenset({ItemStatus.ACTIVE})


class Hit(NamedTuple):
    """An item that was found."""

    entry: Entry
    score: float
    """The sum of reciprocal ranks."""
    similarity: float
    """The cosine of words and parts of words, from 0 to 1."""


class Library:
    """Versions of items, indexed once; searching it changes nothing. Threads may share it.

    Results depend on the versions alone, not on the order in which they were written or where they are kept. An
    item is found by its name and its `key_text`. Of an item's versions the latest in one of the wanted statuses
    is found. `dense` is a ranker over the same texts, in the order of `library.texts`, as an addition.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._written = entries
        self.entries = sorted(entries, key=lambda entry: entry.version)
        self.texts = [f"{entry.name} {entry.key_text}" for entry in self.entries]
        corpus = Corpus(self.texts)
        self._ngrams = Ngrams(corpus)
        self.rankers: list[Ranker] = [Bm25(corpus), self._ngrams]
        self._kinds = _coded(self.entries, "kind")
        self._spaces = _coded(self.entries, "space")
        self._envs = _coded(self.entries, "env_id")
        self._current: dict[frozenset[ItemStatus], NDArray[np.bool_]] = {}

    @property
    def waits(self) -> bool:
        """Whether a search may wait for something outside the process, such as an endpoint for embeddings."""
        return not all(isinstance(ranker, Bm25 | Ngrams) for ranker in self.rankers)

    def __len__(self) -> int:
        return len(self.entries)

    def search(self, query: Query) -> list[Hit]:
        """Return at most `query.k` items, the best first; none where nothing has anything in common with the text."""
        allowed = self.allowed(query)
        depth = max(_DEPTH, 4 * query.k)
        scores = {ranker.name: ranker.scores(query.text) * allowed for ranker in self.rankers}
        fused = fuse([top(each, depth) for each in scores.values()])
        similar = scores.get(self._ngrams.name)
        if similar is None:
            similar = self._ngrams.scores(query.text)
        return [
            Hit(self.entries[text], score, min(float(similar[text]), 1.0))
            for text, score in list(fused.items())[: query.k]
        ]

    def allowed(self, query: Query) -> NDArray[np.bool_]:
        """Return which entries a query may find, shape (entries,)."""
        return (
            self._currently(query.statuses)
            & self._kinds.among(query.kinds)
            & self._spaces.among([space for space in self._spaces.values if sees(query.space, space)])
            & (self._envs.among(["", query.env_id]) if query.env_id else True)
        )

    def _currently(self, statuses: frozenset[ItemStatus]) -> NDArray[np.bool_]:
        if statuses not in self._current:
            versions = {entry.version for entry in current(self._written, statuses)}
            mask = np.asarray([entry.version in versions for entry in self.entries], np.bool_)
            self._current[statuses] = mask
        return self._current[statuses]


class _Coded(NamedTuple):
    """A field of the entries as small numbers."""

    values: dict[Any, int]
    codes: NDArray[np.int32]

    def among(self, wanted: Collection[Any]) -> NDArray[np.bool_]:
        chosen = np.zeros(len(self.values) + 1, np.bool_)
        chosen[[self.values[value] for value in wanted if value in self.values]] = True
        return chosen[self.codes]


def _coded(entries: Sequence[Entry], name: str) -> _Coded:
    values: dict[Any, int] = {}
    codes = [values.setdefault(getattr(entry, name), len(values)) for entry in entries]
    return _Coded(values, np.asarray(codes, np.int32))
