"""Attention over a token tree in the kernels of accelerators.

The runs of the tree (see `token_tree`) become blocks: the queries are a run's own tokens, the keys its whole path, of
which they are the last. Runs of similar shape share a block, so there is one kernel call per block, and never an
L x L mask.

Legend: L tokens, H query heads, E key heads, D head dimension; B runs of a block, Q queries, K keys, P padding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from agentgym.training.token_tree import paths, runs
from agentgym.training.turns import Indices

SCORES_OF_A_CALL = 1_000_000
"""A kernel call costs about as much as this many scores of one head: runs share a block where that is more than
what their different lengths waste in padding."""

MASKED_UP_TO = 512
"""Longer branches take the causal kernel over their whole path instead of a mask: their prefix's queries are computed
once more, in attention alone."""


@dataclass(frozen=True, slots=True)
class Block:
    """B runs of similar shape: Q queries, which are the last of K keys."""

    query_BQ: Tensor
    """Indices into the flat sequence."""
    key_BK: Tensor
    hidden_BP: Tensor | None
    """Added to the scores of the first P keys, where paths are padded in front; None where they are not."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """All runs of a tree."""

    blocks: Sequence[Block]
    order_L: Tensor
    """For each flat token, its place among the queries of all blocks."""


def blocks_of(parent_L: Indices, device: torch.device) -> Blocks:
    """Sort the runs of a tree into blocks of similar shape."""
    starts, stops = (np.array(ends, np.int64) for ends in zip(*runs(parent_L), strict=True))
    path = paths(parent_L)
    total = np.array([len(indices) for indices in path])
    whole = (starts + total == stops) | (stops - starts > MASKED_UP_TO)
    order_L = np.zeros(len(parent_L), np.int64)
    blocks: list[Block] = []
    place = 0
    for chosen in _in_blocks(np.where(whole, total, stops - starts), total, whole):
        keys = int(total[chosen].max())
        at_end = bool(whole[chosen[0]])
        queries = keys if at_end else int((stops - starts)[chosen].max())
        indices = np.stack([_padded(path[run], keys, at_end=at_end) for run in chosen])
        for slot, run in enumerate(chosen):
            stop = place + slot * queries + (int(total[run]) if at_end else queries)
            order_L[starts[run] : stops[run]] = np.arange(stop - (stops[run] - starts[run]), stop)
        padding = np.zeros(len(chosen), np.int64) if at_end else keys - total[chosen]
        blocks.append(_block(indices, queries, padding, device))
        place += len(chosen) * queries
    return Blocks(blocks, torch.from_numpy(order_L).to(device))


def fused_attention(
    query_LHD: Tensor, key_LED: Tensor, value_LED: Tensor, scale: float, blocks: Blocks
) -> Tensor:
    """Attend along each path; returns (L, H, D)."""
    both_LE2D = torch.cat([key_LED, value_LED], -1)
    outputs: list[Tensor] = []
    for block in blocks.blocks:
        query_BQHD = _gather(query_LHD, block.query_BQ)
        key_BKED, value_BKED = _gather(both_LE2D, block.key_BK).tensor_split([key_LED.shape[-1]], -1)
        outputs.append(_of_block(query_BQHD, key_BKED, value_BKED, scale, block.hidden_BP).flatten(0, 1))
    return torch.cat(outputs).index_select(0, blocks.order_L)


def _of_block(
    query_BQHD: Tensor, key_BKED: Tensor, value_BKED: Tensor, scale: float, hidden_BP: Tensor | None
) -> Tensor:
    repeats = query_BQHD.shape[2] // key_BKED.shape[2]
    query, key, value = (x.transpose(1, 2) for x in (query_BQHD, key_BKED, value_BKED))
    if repeats > 1:
        key, value = (x.repeat_interleave(repeats, dim=1) for x in (key, value))
    queries, keys = query.shape[2], key.shape[2]
    mask = None
    if queries < keys or hidden_BP is not None:
        mask_QK = torch.full((queries, keys), -math.inf, device=query.device).triu(keys - queries + 1)
        mask = mask_QK[None, None]
        if hidden_BP is not None:
            mask = mask.repeat(len(hidden_BP), 1, 1, 1)
            mask[..., : hidden_BP.shape[1]] += hidden_BP[:, None, None]
        mask = mask.to(query.dtype)
    attended = scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scale
    )
    return attended.transpose(1, 2)


def _gather(flat_LHD: Tensor, indices: Tensor) -> Tensor:
    """Return the tokens that a block names, shape (*indices.shape, H, D)."""
    return flat_LHD.index_select(0, indices.flatten()).view(*indices.shape, *flat_LHD.shape[1:])


def _in_blocks(queries: Indices, keys: Indices, whole: NDArray[np.bool_]) -> list[list[int]]:
    """Group runs so that the scores computed for padding cost less than the kernel calls saved."""
    blocks: list[list[int]] = []
    sizes: list[tuple[int, int]] = []
    for run in sorted(range(len(queries)), key=lambda run: (-int(keys[run]), -int(queries[run]))):
        alone = _scores(int(queries[run]), int(keys[run])) + SCORES_OF_A_CALL
        best, least = -1, alone
        for index, (width, length) in enumerate(sizes):
            if whole[blocks[index][0]] != whole[run]:
                continue
            wider = max(width, int(queries[run]))
            count = len(blocks[index])
            more = (count + 1) * _scores(wider, length) - count * _scores(width, length)
            if more < least:
                best, least = index, more
        if best < 0:
            blocks.append([run])
            sizes.append((int(queries[run]), int(keys[run])))
        else:
            blocks[best].append(run)
            sizes[best] = (max(sizes[best][0], int(queries[run])), sizes[best][1])
    return blocks


def _scores(queries: int, keys: int) -> int:
    return queries * (2 * keys - queries) // 2


def _padded(indices: Indices, length: int, *, at_end: bool) -> Indices:
    """Repeat the last index at the end, or the first in front."""
    missing = length - len(indices)
    return np.pad(indices, (0, missing) if at_end else (missing, 0), mode="edge")


def _block(key_BK: Indices, queries: int, padding_B: Indices, device: torch.device) -> Block:
    hidden_BP = None
    if padding_B.any():
        hidden_BP = torch.zeros(len(padding_B), int(padding_B.max()))
        for hidden_P, padding in zip(hidden_BP, padding_B.tolist(), strict=True):
            hidden_P[
                :padding
            ] = -1e30  # finite, for the sake of queries in the padding, which see nothing else
        hidden_BP = hidden_BP.to(device)
    keys = torch.from_numpy(key_BK).to(device)
    return Block(keys[:, key_BK.shape[1] - queries :], keys, hidden_BP)
