"""Packed attention: rows of different lengths in one flat sequence, without padding and without a mask.

The rows of a micro-batch lie one after another in a sequence of N tokens. Each attends to itself alone:
the kernel is called once per row, so no N x N mask is built and no work is done between rows. Registered
with transformers as an attention implementation; `packed_attention` switches a model to it for a while.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

NAME = "agentgym_packed"


def _attend(
    module: nn.Module,
    query_1HND: Tensor,
    key_1KND: Tensor,
    value_1KND: Tensor,
    attention_mask: Tensor | None,
    *,
    row_lengths: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each row. H query heads, K key heads, D head dimension."""
    repeats = query_1HND.shape[1] // key_1KND.shape[1]
    if repeats > 1:
        key_1KND = key_1KND.repeat_interleave(repeats, dim=1)
        value_1KND = value_1KND.repeat_interleave(repeats, dim=1)
    outputs: list[Tensor] = []
    start = 0
    for length in row_lengths:
        row = slice(start, start + length)
        q, k, v = query_1HND[:, :, row], key_1KND[:, :, row], value_1KND[:, :, row]
        outputs.append(
            scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scaling)
        )
        start += length
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


def _no_mask(*_: Any, **__: Any) -> None:
    return None


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, _no_mask)


@contextmanager
def packed_attention(model: PreTrainedModel) -> Generator[None]:
    """Let `model` take packed rows: inside, its forward needs `row_lengths` and `position_ids`."""
    before: Any = model.config._attn_implementation  # pyright: ignore[reportPrivateUsage]
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
