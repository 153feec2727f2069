"""Tiles: which queries of a token tree attend together, and to which keys.

A tile is a handful of tokens that follow each other in the tree's order, and all that any of them sees. Its sizes
are rounded up, so that few shapes of matrix products occur: oneDNN compiles each new one for half a millisecond,
which is more than most products here take.

Legend: L tokens of a tree, Q queries and K keys of a tile, M keys that not all of its queries see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.training.token_tree import paths, runs
from agentgym.training.turns import Indices

QUERIES = 128
"""Of a tile, at most."""

QUERY_STEP, KEY_STEP = 32, 64
"""What the numbers of queries and keys are rounded up to."""

SCORES_OF_A_TILE = 10_000
"""A tile costs about as much, besides its scores, as this many scores of all heads."""


class Tile(NamedTuple):
    """Queries that attend together; all indices are into the L tokens."""

    query_Q: Tensor
    """The last one is repeated as padding."""
    queries: int
    """How many of them are no padding."""
    key_K: Tensor
    """What any of the queries sees, in order; then the first one again as padding."""
    hidden_QM: Tensor
    """Added to the scores of the last M keys: minus infinity where a query does not see the key."""


@dataclass(slots=True)
class _Piece:
    """Queries of one run: all see the run's path as far as themselves."""

    path: Indices
    query: Indices

    @property
    def seen(self) -> Indices:
        """What its last query sees."""
        return self.path[: np.searchsorted(self.path, self.query[-1], "right")]


def tiles_of(parent_L: Indices, query: Indices, device: torch.device) -> list[Tile]:
    """Return tiles for the tokens `query` (in ascending order) of a tree."""
    together = _together(_by_run(parent_L, query), len(parent_L))
    return [_tile(pieces, len(parent_L), device) for pieces in together]


def _by_run(parent_L: Indices, query: Indices) -> Iterator[_Piece]:
    for (start, stop), path in zip(runs(parent_L), paths(parent_L), strict=True):
        own = query[np.searchsorted(query, start) : np.searchsorted(query, stop)]
        if len(own):
            yield _Piece(path, own)


def _together(pieces: Iterator[_Piece], size: int) -> Iterator[list[_Piece]]:
    """Fill tiles with the pieces in their order; begin a new one where that costs less than to look at the keys
    of all with the queries of all."""
    filled: list[_Piece] = []
    seen_L = np.zeros(size, np.bool_)
    queries = keys = 0
    for piece in pieces:
        rest = piece
        while len(rest.query):
            part = _Piece(rest.path, rest.query[: (QUERIES - queries) or QUERIES])
            seen = part.seen
            more = len(seen) - int(np.count_nonzero(seen_L[seen]))
            together = _scores(queries + len(part.query), keys + more)
            apart = _scores(queries, keys) + len(part.query) * len(seen) + SCORES_OF_A_TILE
            if queries == QUERIES or (filled and together > apart):
                yield filled
                filled, queries, keys = [], 0, 0
                seen_L[:] = False
                continue
            filled.append(part)
            seen_L[seen] = True
            queries, keys = queries + len(part.query), keys + more
            rest = _Piece(rest.path, rest.query[len(part.query) :])
    if filled:
        yield filled


def _tile(pieces: Sequence[_Piece], size: int, device: torch.device) -> Tile:
    seen_L = np.zeros(size, np.bool_)
    for piece in pieces:
        seen_L[piece.seen] = True
    key = np.flatnonzero(seen_L)
    sees: list[NDArray[np.bool_]] = []
    for piece in pieces:
        seen_L[:] = False
        seen_L[piece.path] = True
        sees.append(seen_L[key] & (key <= piece.query[:, None]))
    query = np.concatenate([piece.query for piece in pieces])
    query_padding = _rounded(len(query), QUERY_STEP) - len(query)
    key_padding = _rounded(len(key), KEY_STEP) - len(key)
    sees_QK = np.pad(np.concatenate(sees), ((0, query_padding), (0, 0)), mode="edge")
    sees_QK = np.pad(sees_QK, ((0, 0), (0, key_padding)))
    first = int(np.argmin(np.append(sees_QK.all(0), False)))
    hidden_QM = np.where(sees_QK[:, first:], np.float32(0), np.float32(-np.inf))
    return Tile(
        torch.from_numpy(np.pad(query, (0, query_padding), mode="edge")).to(device),
        len(query),
        torch.from_numpy(np.pad(key, (0, key_padding), constant_values=key[0])).to(device),
        torch.from_numpy(hidden_QM).to(device),
    )


def _scores(queries: int, keys: int) -> int:
    return _rounded(queries, QUERY_STEP) * _rounded(keys, KEY_STEP)


def _rounded(count: int, step: int) -> int:
    return -(-count // step) * step
