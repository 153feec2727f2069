"""Packed attention: token trees in one flat sequence, each token attending along its own path.

The tokens of a micro-batch lie in one sequence of L, so that every other layer works on real tokens alone.
For attention, the runs of the tree (see `token_tree`) become blocks: the queries are a run's own tokens, the
keys its whole path, of which they are the last. Runs of similar shape share a block, so there is one kernel
call per block, and never an L x L mask. Registered with transformers as an attention implementation;
`packed_attention` switches a model to it for a while.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from agentgym.core.errors import ConfigError
from agentgym.training.tiled_attention import tiled_attention
from agentgym.training.token_tree import paths, runs
from agentgym.training.turns import Indices

NAME = "agentgym_packed"

SCORES_OF_A_CALL = {"cpu": 10_000}
"""A kernel call costs about as much as this many scores of one head: runs share a block where that is more than
what their different lengths waste in padding."""

SCORES_OF_A_CALL_ELSEWHERE = 1_000_000

MASKED_UP_TO = 512
"""On accelerators, longer branches take the causal kernel over their whole path instead of a mask: their
prefix's queries are computed once more, in attention alone."""


@dataclass(frozen=True, slots=True)
class Block:
    """B runs of similar shape: Q queries, which are the last of K keys."""

    query_BQ: Tensor
    """Indices into the flat sequence."""
    key_BK: Tensor
    hidden_BP: Tensor | None
    """Added to the scores of the first P keys, where paths are padded in front; None where they are not."""


@dataclass(slots=True)
class Layout:
    """How the flat tokens are laid out for attention."""

    blocks: Sequence[Block]
    order_L: Tensor
    """For each flat token, its place among the queries of all blocks."""
    longest: int
    """Number of keys of the widest block."""
    calls: int = 0
    """How many layers have attended so far."""


def lay_out(parent_L: Indices, device: torch.device) -> Layout:
    """Sort the runs of a tree into blocks of similar shape."""
    starts, stops = (np.array(ends, np.int64) for ends in zip(*runs(parent_L), strict=True))
    path = paths(parent_L)
    total = np.array([len(indices) for indices in path])
    whole = starts + total == stops
    if device.type != "cpu":
        whole |= stops - starts > MASKED_UP_TO
    order_L = np.zeros(len(parent_L), np.int64)
    blocks: list[Block] = []
    place = 0
    call = SCORES_OF_A_CALL.get(device.type, SCORES_OF_A_CALL_ELSEWHERE)
    for chosen in _in_blocks(np.where(whole, total, stops - starts), total, whole, call):
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
    return Layout(blocks, torch.from_numpy(order_L).to(device), int(total.max()))


def _in_blocks(queries: Indices, keys: Indices, whole: NDArray[np.bool_], call: int) -> list[list[int]]:
    """Group runs so that the scores computed for padding cost less than the kernel calls saved."""
    blocks: list[list[int]] = []
    sizes: list[tuple[int, int]] = []
    for run in sorted(range(len(queries)), key=lambda run: (-int(keys[run]), -int(queries[run]))):
        alone = _scores(int(queries[run]), int(keys[run])) + call
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


def _attend(
    module: nn.Module,
    query_1HLD: Tensor,
    key_1ELD: Tensor,
    value_1ELD: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: Layout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention along each path. H query heads, E key heads, D head dimension."""
    name = type(module).__name__
    if layout is None:
        raise ConfigError(f"{name} does not pass keywords on to its attention; train another model.")
    windowed = sliding_window is not None and sliding_window < layout.longest
    if windowed or softcap is not None or s_aux is not None or dropout:
        raise ConfigError(
            f"{name} needs more than plain causal attention (sliding_window={sliding_window}, "
            f"softcap={softcap}, sinks={s_aux is not None}, dropout={dropout}), which packed rows do not offer; "
            "train another model."
        )
    layout.calls += 1
    query_LHD, key_LED, value_LED = (x.transpose(1, 2)[0] for x in (query_1HLD, key_1ELD, value_1ELD))
    scale = query_LHD.shape[-1] ** -0.5 if scaling is None else scaling
    kernel = tiled_attention if query_1HLD.device.type == "cpu" else fused_attention
    both_LE2D = torch.cat([key_LED, value_LED], -1)
    outputs: list[Tensor] = []
    for block in layout.blocks:
        query_BQHD = _gather(query_LHD, block.query_BQ)
        key_BKED, value_BKED = _gather(both_LE2D, block.key_BK).tensor_split([key_LED.shape[-1]], -1)
        outputs.append(kernel(query_BQHD, key_BKED, value_BKED, scale, block.hidden_BP).flatten(0, 1))
    return torch.cat(outputs).index_select(0, layout.order_L)[None], None


def fused_attention(
    query_BQHD: Tensor, key_BKED: Tensor, value_BKED: Tensor, scale: float, hidden_BP: Tensor | None
) -> Tensor:
    """The same as `tiled_attention`, in the kernels of accelerators."""
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


def _no_mask(*_: Any, **__: Any) -> None:
    return None


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, _no_mask)


def check_attended(model: PreTrainedModel, layout: Layout) -> None:
    """Raise `ConfigError` unless every layer has attended through `layout`: a layer that mixes tokens in
    another way (a recurrent state, say) would mix tokens of different paths."""
    config: Any = model.config
    layers: int = config.get_text_config().num_hidden_layers
    if layout.calls != layers:
        raise ConfigError(
            f"{type(model).__name__} has {layers} layers, of which {layout.calls} attend through transformers' "
            "attention interface; packed rows need all of them to. Train another model."
        )


@contextmanager
def packed_attention(model: PreTrainedModel) -> Generator[None]:
    """Let `model` take packed rows: inside, its forward needs `layout` and `position_ids`."""
    before: Any = model.config._attn_implementation  # pyright: ignore[reportPrivateUsage]
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
