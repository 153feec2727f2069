"""From episodes to packed rows: each token of a trajectory is computed once.

A conversation that only grows is one row, whatever its number of turns. Where the context was cut or
rewritten (`prompt_start` before the end of what came before) a new row starts with the part kept.

Legend: N trained tokens of a micro-batch, L tokens of all its rows together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.core.trace import Episode
from agentgym.training.attention import Layout, lay_out


@dataclass(slots=True)
class Row:
    """One sequence of tokens and which of them are trained on."""

    ids: NDArray[np.int32]
    target: NDArray[np.int64]
    """Positions of the trained tokens in `ids`; each is predicted from the token before it."""
    token: NDArray[np.int64]
    """Entry of the token table (`TokenTable`) of each trained token."""
    turn: NDArray[np.int64]
    """Row of the credit table each trained token belongs to."""


@dataclass(slots=True)
class _Open:
    """A row being built."""

    ids: list[NDArray[np.int32]] = field(default_factory=list[NDArray[np.int32]])
    target: list[NDArray[np.int64]] = field(default_factory=list[NDArray[np.int64]])
    token: list[NDArray[np.int64]] = field(default_factory=list[NDArray[np.int64]])
    turn: list[NDArray[np.int64]] = field(default_factory=list[NDArray[np.int64]])
    length: int = 0

    def extend(self, ids: NDArray[np.int32]) -> None:
        self.ids.append(ids)
        self.length += len(ids)

    def close(self) -> Row:
        return Row(
            np.concatenate(self.ids),
            np.concatenate(self.target),
            np.concatenate(self.token),
            np.concatenate(self.turn),
        )


def pack(episodes: Sequence[Episode]) -> list[Row]:
    """Return the rows of the episodes; their turns and trained tokens are numbered through, as `TurnTable` and
    `TokenTable` number them."""
    rows: list[Row] = []
    turn_index = token_index = 0
    for episode in episodes:
        row = _Open()
        for turn in episode.turns:
            if turn.prompt_start != row.length:
                kept = np.concatenate(row.ids)[: turn.prompt_start]
                rows.append(row.close())
                row = _Open(ids=[kept], length=len(kept))
            row.extend(turn.prompt_ids)
            trained = np.flatnonzero(turn.loss_mask)
            row.target.append(row.length + trained)
            row.token.append(token_index + np.arange(len(trained)))
            row.turn.append(np.full(len(trained), turn_index, np.int64))
            row.extend(turn.completion_ids)
            turn_index += 1
            token_index += len(trained)
        if episode.turns:
            rows.append(row.close())
    return rows


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows laid end to end, as tensors on the model's device."""

    ids_L: Tensor
    positions_L: Tensor
    layout: Layout
    """How attention arranges the rows."""
    source_N: Tensor
    """Index into L of the token before each trained token: where it is predicted."""
    target_ids_N: Tensor
    token_N: NDArray[np.int64]
    """Entry of the token table of each trained token."""
    rows: Sequence[Row]


def micro_batches(rows: Iterable[Row], tokens: int, device: torch.device) -> Iterator[MicroBatch]:
    """Group rows into micro-batches of at most `tokens` tokens (a longer row gets one of its own)."""
    batch: list[Row] = []
    for row in rows:
        if batch and sum(len(other.ids) for other in batch) + len(row.ids) > tokens:
            yield _to_tensors(batch, device)
            batch = []
        batch.append(row)
    if batch:
        yield _to_tensors(batch, device)


def _to_tensors(rows: Sequence[Row], device: torch.device) -> MicroBatch:
    lengths = [len(row.ids) for row in rows]
    starts = np.cumsum([0, *lengths[:-1]])
    ids_L = np.concatenate([row.ids for row in rows]).astype(np.int64)
    target_N = np.concatenate([start + row.target for start, row in zip(starts, rows, strict=True)])

    def tensor(values: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(values).to(device)

    return MicroBatch(
        ids_L=tensor(ids_L),
        positions_L=tensor(np.concatenate([np.arange(length) for length in lengths])),
        layout=lay_out(lengths, device),
        source_N=tensor(target_N - 1),
        target_ids_N=tensor(ids_L[target_N]),
        token_N=np.concatenate([row.token for row in rows]),
        rows=tuple(rows),
    )
