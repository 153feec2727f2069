"""Cosine similarity of hashed words and parts of words: finds what is spelled or inflected otherwise."""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from agentgym.memory.retrieval.postings import SEGMENT, Counts, Postings, Segment, frequencies
from agentgym.memory.retrieval.words import Corpus, words

BUCKETS = 2**18
"""Features are hashed into so many. As the index is sparse, few collide and none needs a sign."""

SIZES = (3, 4, 5)
"""Characters of the parts of words; the word's ends count as one each."""


class Ngrams:
    """Scores texts by the cosine of their vectors with a query's: a value for each word and each part of a word.

    The value is `(1 + ln tf) · idf`, with Lucene's idf of `agentgym.memory.retrieval.bm25`.
    """

    name = "ngrams"

    def __init__(self, corpus: Corpus) -> None:
        parts = [features(word) for word in corpus.vocabulary]
        counted = {range_: _count(corpus, parts, *range_) for range_ in corpus.segments(SEGMENT)}
        occurring = frequencies(counted.values(), BUCKETS)
        self._idf = np.log1p((len(corpus) - occurring + 0.5) / (occurring + 0.5)).astype(np.float32)
        segments: list[Segment] = []
        for (first, end), counts in counted.items():
            values = (1 + np.log(counts.counts)) * self._idf[counts.features]
            norms = np.sqrt(np.bincount(counts.texts, values**2, minlength=end - first))
            weights = (values / np.maximum(norms, 1e-12)[counts.texts]).astype(np.float32)
            segments.append(Segment.of(first, end - first, BUCKETS, counts, weights))
        self._postings = Postings(segments, occurring)

    def scores(self, text: str) -> NDArray[np.float32]:
        """Return the cosine with each text of the corpus, shape (texts,), from 0 to 1."""
        every = [features(word) for word in words(text)]
        numbers, counts = np.unique(np.concatenate([np.empty(0, np.int32), *every]), return_counts=True)
        values = (1 + np.log(counts)) * self._idf[numbers]
        norm = max(float(np.linalg.norm(values)), 1e-12)
        return self._postings.scores(numbers.astype(np.int64), (values / norm).astype(np.float32))


@lru_cache(maxsize=200_000)
def features(word: str) -> NDArray[np.int32]:
    """Return the buckets of a word and its parts, each once; the same in every process.

    >>> len(features("cup")), len(features("cups")), len(set(features("cup")) & set(features("cups")))
    (7, 10, 3)
    """
    marked = f"<{word}>"
    parts = {marked[start : start + size] for size in SIZES for start in range(len(marked) - size + 1)}
    numbers = {crc32(part.encode()) % BUCKETS for part in parts} | {crc32(f"word {word}".encode()) % BUCKETS}
    return np.asarray(sorted(numbers), np.int32)


def _count(corpus: Corpus, parts: list[NDArray[np.int32]], first: int, end: int) -> Counts:
    numbers = corpus.flat[corpus.offsets[first] : corpus.offsets[end]]
    texts = np.repeat(np.arange(end - first, dtype=np.int32), corpus.lengths[first:end])
    sizes = np.asarray([len(part) for part in parts], np.int64)
    each: list[NDArray[np.int32]] = [parts[int(number)] for number in numbers]
    occurring = np.concatenate([np.empty(0, np.int32), *each])
    return Counts.of(occurring, np.repeat(texts, sizes[numbers]), end - first)
