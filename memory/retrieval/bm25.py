"""BM25 as Lucene computes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentgym.memory.retrieval.postings import SEGMENT, Counts, Postings, Segment, frequencies
from agentgym.memory.retrieval.words import Corpus, words

K1, B = 1.2, 0.75


class Bm25:
    """Scores texts by the words they share with a query.

    The score is the sum over the query's words of `idf · tf (k1 + 1) / (tf + k1 (1 - b + b |d| / avg))`, with
    `idf = ln(1 + (N - n + 0.5) / (n + 0.5))` (Robertson and Zaragoza 2009; the idf is Lucene's, which is never
    negative). SQLite's own `bm25()` sets the idf of words that most texts have to about 0.
    """

    name = "bm25"

    def __init__(self, corpus: Corpus) -> None:
        self._vocabulary = corpus.vocabulary
        n_texts, n_words = len(corpus), len(corpus.vocabulary)
        average = max(float(corpus.lengths.mean()), 1.0) if n_texts else 1.0
        penalty = K1 * (1 - B + B * corpus.lengths / average)
        counted = {range_: _count(corpus, *range_) for range_ in corpus.segments(SEGMENT)}
        occurring = frequencies(counted.values(), n_words)
        self._idf = np.log1p((n_texts - occurring + 0.5) / (occurring + 0.5)).astype(np.float32)
        segments: list[Segment] = []
        for (first, end), counts in counted.items():
            weights = counts.counts * (K1 + 1) / (counts.counts + penalty[first + counts.texts])
            segments.append(Segment.of(first, end - first, n_words, counts, weights.astype(np.float32)))
        self._postings = Postings(segments, occurring)

    def scores(self, text: str) -> NDArray[np.float32]:
        """Return the score of each text of the corpus, shape (texts,); 0 where it shares no word with `text`."""
        found = [self._vocabulary.find(word) for word in words(text)]
        numbers, counts = np.unique(
            np.asarray([n for n in found if n is not None], np.int64), return_counts=True
        )
        return self._postings.scores(numbers, self._idf[numbers] * counts.astype(np.float32))


def _count(corpus: Corpus, first: int, end: int) -> Counts:
    texts = np.repeat(np.arange(end - first, dtype=np.int32), corpus.lengths[first:end])
    return Counts.of(corpus.flat[corpus.offsets[first] : corpus.offsets[end]], texts, end - first)
