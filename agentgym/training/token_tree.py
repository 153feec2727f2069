"""Token trees: sequences that begin alike hold their common beginning once.

A tree is flat: its tokens in an array, and for each the index of the token before it on its path, which is
always a smaller one (-1 where a path begins). Runs of tokens that follow each other are the rule, so the work
here is per run, not per token.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from agentgym.core.trace import agreement
from agentgym.training.turns import Indices

Ids = NDArray[np.int32]


class TokenTree:
    """A tree that grows. Indices given out stay valid: tokens are only ever added at the end."""

    def __init__(self) -> None:
        self.size = 0
        """Number of tokens."""
        self._starts: list[int] = []
        self._parents: list[int] = []
        self._runs: list[Ids] = []
        self._branches: dict[tuple[int, int], int] = {}
        """Which run follows a token (-1: none) with an id."""

    def add(self, after: int, ids: Ids) -> Indices:
        """Continue the path that ends in token `after` (-1: begin one) with `ids`, along the tokens that are
        there as far as they agree; return the index of each, shape (len(ids),)."""
        pieces: list[Indices] = []
        while len(ids):
            start, there = self._following(after, int(ids[0]))
            if not len(there):
                start, there = self._append(after, ids), ids
            common = agreement(there, ids)
            pieces.append(np.arange(start, start + common))
            after = start + common - 1
            ids = ids[common:]
        return np.concatenate([np.empty(0, np.int64), *pieces])

    def arrays(self, size: int) -> tuple[Ids, Indices]:
        """Return ids and parents of the first `size` tokens, each of shape (size,)."""
        ids = np.concatenate([np.empty(0, np.int32), *self._runs])
        parents = np.arange(self.size) - 1
        parents[self._starts] = self._parents
        return ids[:size], parents[:size]

    def _following(self, after: int, token_id: int) -> tuple[int, Ids]:
        """Return start and ids of the tokens that follow `after` with `token_id`; no ids where none do."""
        if after >= 0:
            run = bisect_right(self._starts, after) - 1
            rest = self._runs[run][after - self._starts[run] + 1 :]
            if len(rest) and rest[0] == token_id:
                return after + 1, rest
        run = self._branches.get((after, token_id), -1)
        return (-1, np.empty(0, np.int32)) if run < 0 else (self._starts[run], self._runs[run])

    def _append(self, after: int, ids: Ids) -> int:
        start = self.size
        self._branches[after, int(ids[0])] = len(self._runs)
        self._starts.append(start)
        self._parents.append(after)
        self._runs.append(ids)
        self.size += len(ids)
        return start


def runs(parent_L: Indices) -> list[tuple[int, int]]:
    """Return first token and end (the index after the last) of each run, in their order."""
    starts = np.flatnonzero((parent_L != np.arange(len(parent_L)) - 1) | (parent_L < 0)).tolist()
    return list(zip(starts, [*starts[1:], len(parent_L)], strict=True))


def depths(parent_L: Indices) -> Indices:
    """Return each token's position on its path, from 0, shape (L,)."""
    depth_L = np.arange(len(parent_L))
    for start, stop in runs(parent_L):
        parent = int(parent_L[start])
        depth_L[start:stop] += (0 if parent < 0 else int(depth_L[parent]) + 1) - start
    return depth_L


def paths(parent_L: Indices) -> list[Indices]:
    """Return the path of each run's last token from its beginning, as indices of tokens."""
    found: list[Indices] = []
    starts: list[int] = []
    depth_L = depths(parent_L)
    for start, stop in runs(parent_L):
        path: Indices = np.arange(start, stop)
        parent = int(parent_L[start])
        if parent >= 0:
            before = found[bisect_right(starts, parent) - 1]
            path = np.concatenate([before[: depth_L[parent] + 1], path])
        starts.append(start)
        found.append(path)
    return found


def ancestors(parent_L: Indices, chosen: Indices) -> NDArray[np.bool_]:
    """Return which tokens are on the path to one of the `chosen`, themselves included, shape (L,)."""
    wanted_L = np.zeros(len(parent_L), np.bool_)
    wanted_L[chosen] = True
    for start, stop in reversed(runs(parent_L)):
        own = np.flatnonzero(wanted_L[start:stop])
        if len(own):
            wanted_L[start : start + own[-1] + 1] = True
            if parent_L[start] >= 0:
                wanted_L[parent_L[start]] = True
    return wanted_L
