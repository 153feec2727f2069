"""A sparse inverted index: for each feature the texts that have it, with a weight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BUDGET = 2_000_000
"""Most postings that one query reads. The rarest features come first, so that what is left out are those that most
texts have and that tell them apart least. Below some ten thousand texts nothing is ever left out."""

SEGMENT = 100_000
"""Texts that are indexed together; bounds the memory that building takes."""


class Counts(NamedTuple):
    """How often texts have features, one entry for each pair that occurs, by feature and then text."""

    features: NDArray[np.int32]
    texts: NDArray[np.int32]
    """From 0 in each segment."""
    counts: NDArray[np.float32]

    @classmethod
    def of(cls, features: NDArray[np.int32], texts: NDArray[np.int32], n_texts: int) -> Counts:
        """Count the pairs of features and texts; the arrays have an entry for each occurrence."""
        pairs, counts = np.unique(features.astype(np.int64) * n_texts + texts, return_counts=True)
        feature, text = np.divmod(pairs, n_texts)
        return cls(feature.astype(np.int32), text.astype(np.int32), counts.astype(np.float32))


class Segment(NamedTuple):
    """The postings of some texts: those of feature f lie from `starts[f]` to `starts[f + 1]`."""

    first: int
    """The number of its first text."""
    n_texts: int
    starts: NDArray[np.int64]
    texts: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def of(
        cls, first: int, n_texts: int, n_features: int, counts: Counts, weights: NDArray[np.float32]
    ) -> Segment:
        """Make the postings of counts, weighted."""
        starts = np.searchsorted(counts.features, np.arange(n_features + 1))
        return cls(first, n_texts, starts, counts.texts, weights.astype(np.float32))


class Postings:
    """The postings of all texts."""

    def __init__(self, segments: Sequence[Segment], frequencies: NDArray[np.int64]) -> None:
        self._segments = segments
        self._frequencies = frequencies
        """Texts that have each feature."""

    def scores(
        self, features: NDArray[np.int64], weights: NDArray[np.float32], *, budget: int = BUDGET
    ) -> NDArray[np.float32]:
        """Return for each text the sum over features of the query's weight times the text's, shape (texts,)."""
        chosen = self._within(features, budget)
        parts = [self._score(segment, features[chosen], weights[chosen]) for segment in self._segments]
        return np.concatenate([np.empty(0, np.float32), *parts])

    def _within(self, features: NDArray[np.int64], budget: int) -> NDArray[np.int64]:
        order = np.argsort(self._frequencies[features], kind="stable")
        spent = np.cumsum(self._frequencies[features[order]])
        return order[: max(1, int(np.searchsorted(spent, budget, side="right")))]

    def _score(
        self, segment: Segment, features: NDArray[np.int64], weights: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        scores = np.zeros(segment.n_texts, np.float32)
        starts, ends = segment.starts[features].tolist(), segment.starts[features + 1].tolist()
        for start, end, weight in zip(starts, ends, weights, strict=True):
            if start < end:  # a text has a feature once, so that no index repeats
                scores[segment.texts[start:end]] += segment.weights[start:end] * weight
        return scores


def frequencies(counted: Iterable[Counts], n_features: int) -> NDArray[np.int64]:
    """Return how many texts have each feature."""
    total = np.zeros(n_features, np.int64)
    for counts in counted:
        total += np.bincount(counts.features, minlength=n_features)
    return total
