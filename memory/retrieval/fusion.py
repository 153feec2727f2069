"""From scores to ranks, and from several rankings to one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RRF_K = 60


def top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the indices of the `k` highest scores above 0, the highest first; of equal ones the lower index first.

    >>> top(np.array([0.0, 2.0, 1.0, 2.0, 1.0], np.float32), 3).tolist()
    [1, 3, 2]
    """
    if k <= 0:
        return np.empty(0, np.int64)
    found = np.flatnonzero(scores > 0)
    if len(found) > k:
        least = np.partition(scores[found], len(found) - k)[len(found) - k]
        found = np.concatenate([found[scores[found] > least], found[scores[found] == least]])[:k]
    return found[np.lexsort((found, -scores[found]))]


def fuse(rankings: Sequence[NDArray[np.int64]]) -> dict[int, float]:
    """Return the score of every text in a ranking: the sum of `1 / (60 + rank)`, the best first.

    Reciprocal rank fusion: Cormack, Clarke and Büttcher 2009.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, text in enumerate(ranking.tolist(), 1):
            scores[text] = scores.get(text, 0.0) + 1 / (RRF_K + rank)
    return dict(sorted(scores.items(), key=lambda each: (-each[1], each[0])))
