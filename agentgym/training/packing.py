"""From episodes to packed rows: each token of a trajectory is computed once.

A row is a tree of tokens: a conversation that only grows is a single path, whatever its number of turns.
Where the context was cut or rewritten (`prompt_start` before the end of what came before) a branch leaves
the longest beginning that any earlier context of the episode shares. Rows of a micro-batch that begin alike
(the same task, the same system prompt) share that too. A shared token sees exactly what it would see in a
row of its own, so nothing is approximate.

Legend: N trained tokens of a micro-batch, L tokens of a row or of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.core.trace import Episode
from agentgym.training.attention import Layout, lay_out
from agentgym.training.token_tree import TokenTree, ancestors, depths, runs
from agentgym.training.turns import Indices

CPU_TOKENS = 4096
"""On a CPU, larger micro-batches than this save nothing and leave its cache: a fifth slower at 16384."""


@dataclass(slots=True)
class Row:
    """A tree of tokens and which of them are trained on."""

    ids: NDArray[np.int32]
    parent: Indices
    """Index of the token before each token on its path, a smaller one; -1 where the path begins."""
    target: Indices
    """Indices of the trained tokens; each is predicted from its parent. A token that two contexts share can
    be trained for both, and is then named twice."""
    token: Indices
    """Entry of the token table (`TokenTable`) of each trained token."""
    turn: Indices
    """Row of the credit table each trained token belongs to."""

    def only(self, chosen: NDArray[np.bool_]) -> Row | None:
        """Return the part of the row that the chosen ones of its trained tokens need; None where that is
        nothing."""
        if not chosen.any():
            return None
        kept = ancestors(self.parent, self.target[chosen])
        place = np.cumsum(kept) - 1
        parent = self.parent[kept]
        return Row(
            self.ids[kept],
            np.where(parent < 0, -1, place[parent]),
            place[self.target[chosen]],
            self.token[chosen],
            self.turn[chosen],
        )


def rows_of(rows: Iterable[Row], chosen_R: NDArray[np.bool_]) -> list[Row]:
    """Return the parts of rows that the chosen turns of the credit table need."""
    return [own for row in rows if (own := row.only(chosen_R[row.turn])) is not None]


def pack(episodes: Sequence[Episode]) -> list[Row]:
    """Return one row per episode that has turns; their turns and trained tokens are numbered through, as
    `TurnTable` and `TokenTable` number them."""
    rows: list[Row] = []
    turn_index = token_index = 0
    for episode in episodes:
        tree, path = TokenTree(), np.empty(0, np.int64)
        target, turn_of = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for turn in episode.turns:
            for part in turn.completions:
                path = path[: part.prompt_start]
                new = np.concatenate([part.prompt_ids, part.completion_ids])
                path = np.concatenate([path, tree.add(int(path[-1]) if len(path) else -1, new)])
                trained = np.flatnonzero(part.loss_mask)
                target.append(path[len(path) - len(part.completion_ids) :][trained])
                turn_of.append(np.full(len(trained), turn_index, np.int64))
            turn_index += 1
        if episode.turns:
            ids, parent = tree.arrays(tree.size)
            targets = np.concatenate(target)
            tokens = token_index + np.arange(len(targets))
            rows.append(Row(ids, parent, targets, tokens, np.concatenate(turn_of)))
            token_index += len(targets)
    return rows


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows laid into one flat sequence, as tensors on the model's device."""

    ids_L: Tensor
    positions_L: Tensor
    layout: Layout
    """How attention arranges the rows."""
    source_N: Tensor
    """Index into L of the token before each trained token: where it is predicted."""
    target_N: Tensor
    """Index into L of each trained token."""
    target_ids_N: Tensor
    token_N: NDArray[np.int64]
    """Entry of the token table of each trained token."""
    rows: Sequence[Row]


def micro_batches(rows: Iterable[Row], tokens: int, device: torch.device) -> Iterator[MicroBatch]:
    """Group rows into micro-batches of at most `tokens` tokens (a longer row gets one of its own).

    A CPU gets smaller ones, of at most `CPU_TOKENS`.
    """
    limit = min(tokens, CPU_TOKENS) if device.type == "cpu" else tokens
    forest, batch, places = TokenTree(), list[Row](), list[Indices]()
    for row in rows:
        size = forest.size
        place = _plant(forest, row)
        if batch and forest.size > limit:
            yield _to_tensors(batch, places, *forest.arrays(size), device)
            forest, batch, places = TokenTree(), [], []
            place = _plant(forest, row)
        batch.append(row)
        places.append(place)
    if batch:
        yield _to_tensors(batch, places, *forest.arrays(forest.size), device)


def _plant(forest: TokenTree, row: Row) -> Indices:
    """Add a row to the others, sharing what they begin with; return where each of its tokens is, shape (L,)."""
    place = np.empty(len(row.ids), np.int64)
    for start, stop in runs(row.parent):
        parent = int(row.parent[start])
        place[start:stop] = forest.add(-1 if parent < 0 else int(place[parent]), row.ids[start:stop])
    return place


def _to_tensors(
    rows: Sequence[Row],
    places: Sequence[Indices],
    ids: NDArray[np.int32],
    parent: Indices,
    device: torch.device,
) -> MicroBatch:
    ids_L = ids.astype(np.int64)
    target_N = np.concatenate([place[row.target] for place, row in zip(places, rows, strict=True)])

    def tensor(values: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(values).to(device)

    return MicroBatch(
        ids_L=tensor(ids_L),
        positions_L=tensor(depths(parent)),
        layout=lay_out(parent, device),
        source_N=tensor(parent[target_N]),
        target_N=tensor(target_N),
        target_ids_N=tensor(ids_L[target_N]),
        token_N=np.concatenate([row.token for row in rows]),
        rows=tuple(rows),
    )
