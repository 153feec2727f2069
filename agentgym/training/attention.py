"""Packed attention: rows of different lengths in one flat sequence, with no mask between them.

The rows of a micro-batch lie one after another in a sequence of L tokens, so that every other layer works
on real tokens alone. For attention, rows of similar length are laid side by side in blocks, padded at the
end only, where a causal kernel needs no mask: one kernel call per block, not per row (three times faster
for short rows on a CPU), and never an L x L mask. Registered with transformers as an attention
implementation; `packed_attention` switches a model to it for a while.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from agentgym.core.errors import ConfigError

NAME = "agentgym_packed"

DENSE_UP_TO = 512
"""On a CPU, rows up to this length get their scores in full: forward and backward in oneDNN's matrix products
take two thirds of the fused kernel's time there."""

SHORTEST_IN_BLOCK = 0.8
"""Rows shorter than this share of a block's longest row go to another block."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the flat tokens are laid out for attention."""

    blocks: list[Tensor]
    """Per block, indices into the flat sequence, shape (rows, longest); padding repeats the row's end."""
    order_L: Tensor
    """For each flat token, its place among the tokens of all blocks, padding included."""


def lay_out(lengths: Sequence[int], device: torch.device) -> Layout:
    """Sort rows of these lengths into blocks of similar length."""
    starts = np.cumsum([0, *lengths[:-1]])
    blocks: list[Tensor] = []
    order_L = np.zeros(sum(lengths), np.int64)
    place = 0
    by_length = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    while by_length:
        longest = lengths[by_length[0]]
        block = [row for row in by_length if lengths[row] >= SHORTEST_IN_BLOCK * longest]
        by_length = by_length[len(block) :]
        indices = np.empty((len(block), longest), np.int64)
        for slot, row in enumerate(block):
            indices[slot] = starts[row] + np.minimum(np.arange(longest), lengths[row] - 1)
            order_L[starts[row] : starts[row] + lengths[row]] = (
                place + slot * longest + np.arange(lengths[row])
            )
        blocks.append(torch.from_numpy(indices).to(device))
        place += indices.size
    return Layout(blocks, torch.from_numpy(order_L).to(device))


def _attend(
    module: nn.Module,
    query_1HLD: Tensor,
    key_1KLD: Tensor,
    value_1KLD: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: Layout,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each row. H query heads, K key heads, D head dimension."""
    longest = max(block.shape[1] for block in layout.blocks)
    if (sliding_window is not None and sliding_window < longest) or softcap is not None or s_aux is not None:
        raise ConfigError(
            f"{type(module).__name__} needs more than plain causal attention (sliding_window={sliding_window}, "
            f"softcap={softcap}, sinks={s_aux is not None}), which packed rows do not offer; train another model."
        )
    query_LHD, key_LKD, value_LKD = (x.transpose(1, 2)[0] for x in (query_1HLD, key_1KLD, value_1KLD))
    outputs: list[Tensor] = []
    for indices in layout.blocks:
        q, k, v = (_gather(flat, indices) for flat in (query_LHD, key_LKD, value_LKD))
        repeats = q.shape[1] // k.shape[1]
        if repeats > 1:
            k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        attended = _causal(q, k, v, scaling, dropout)
        outputs.append(attended.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs).index_select(0, layout.order_L)[None], None


def _causal(
    query_BHLD: Tensor, key_BHLD: Tensor, value_BHLD: Tensor, scaling: float | None, dropout: float
) -> Tensor:
    """Causal attention of B rows of equal length L."""
    length, size = query_BHLD.shape[2:]
    if query_BHLD.device.type != "cpu" or length > DENSE_UP_TO or dropout:
        return scaled_dot_product_attention(
            query_BHLD, key_BHLD, value_BHLD, dropout_p=dropout, is_causal=True, scale=scaling
        )
    future_LL = torch.full((length, length), -math.inf, dtype=query_BHLD.dtype).triu(1)
    scores_BHLL = (query_BHLD * (scaling or size**-0.5)) @ key_BHLD.transpose(-1, -2) + future_LL
    return scores_BHLL.softmax(-1, dtype=torch.float32).to(value_BHLD.dtype) @ value_BHLD


def _gather(flat_LHD: Tensor, indices: Tensor) -> Tensor:
    """Return the block's tokens as (rows, heads, longest, D)."""
    rows, longest = indices.shape
    return (
        flat_LHD.index_select(0, indices.flatten()).view(rows, longest, *flat_LHD.shape[1:]).transpose(1, 2)
    )


def _no_mask(*_: Any, **__: Any) -> None:
    return None


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, _no_mask)


@contextmanager
def packed_attention(model: PreTrainedModel) -> Generator[None]:
    """Let `model` take packed rows: inside, its forward needs `layout` and `position_ids`."""
    before: Any = model.config._attn_implementation  # pyright: ignore[reportPrivateUsage]
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
