"""Picking one token for each row of logits.

Each row brings its own uniform number, so that what it samples does not depend on the other rows.
Shapes: B rows, V tokens, C blocks of tokens, W tokens in a block.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import pad

# The largest number that stays under 1 after multiplication with a float32 total.
_BELOW_ONE = 1.0 - 2.0**-22
# Running sums go token by token; over blocks first and then within one they are short.
_BLOCK = 64


class SampledTokens(NamedTuple):
    """Token ids, and their log-probabilities in nats, `[B]` each."""

    ids_B: torch.Tensor
    logprobs_B: torch.Tensor


def sample_tokens(
    logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature_B: torch.Tensor, top_p_B: torch.Tensor
) -> SampledTokens:
    """Sample by inverting the cumulative distribution at `uniforms_B` (in [0, 1)).

    Log-probabilities are those at the sampling temperature before top-p truncation. Rows with temperature
    0 take the most likely token, with its log-probability at temperature 1.
    """
    greedy_B = temperature_B <= 0
    scale_B = torch.where(greedy_B, torch.ones_like(temperature_B), temperature_B)
    scaled_BV = logits_BV.float()
    if bool((scale_B != 1).any()):
        scaled_BV = scaled_BV / scale_B[:, None]
    probs_BV = torch.softmax(scaled_BV, dim=-1)
    ids_B = _invert(probs_BV, uniforms_B)
    nucleus_B = (top_p_B < 1) & ~greedy_B
    if bool(nucleus_B.any()):
        ids_B[nucleus_B] = _invert_nucleus(probs_BV[nucleus_B], uniforms_B[nucleus_B], top_p_B[nucleus_B])
    if bool(greedy_B.any()):
        ids_B = torch.where(greedy_B, logits_BV.argmax(-1), ids_B)
    return SampledTokens(ids_B, probs_BV.gather(1, ids_B[:, None])[:, 0].log())


def _invert(probs_BV: torch.Tensor, uniforms_B: torch.Tensor) -> torch.Tensor:
    rows, tokens = probs_BV.shape
    if tokens % _BLOCK:
        probs_BV = pad(probs_BV, (0, _BLOCK - tokens % _BLOCK))
    probs_BCW = probs_BV.view(rows, -1, _BLOCK)
    mass_BC = probs_BCW.sum(-1)
    cumulative_BC = mass_BC.cumsum(-1)
    target_B1 = uniforms_B.clamp(max=_BELOW_ONE)[:, None] * cumulative_BC[:, -1:]
    block_B1 = _first_above(cumulative_BC, target_B1)
    before_B1 = cumulative_BC.gather(1, block_B1) - mass_BC.gather(1, block_B1)
    inside_BW = probs_BCW.take_along_dim(block_B1[:, :, None], 1)[:, 0].cumsum(-1)
    rest_B1 = torch.minimum((target_B1 - before_B1).clamp_(min=0), inside_BW[:, -1:] * _BELOW_ONE)
    ids_B1 = block_B1 * _BLOCK + _first_above(inside_BW, rest_B1)
    return ids_B1[:, 0].clamp_(max=tokens - 1)  # no place is found among numbers that are not finite


def _first_above(cumulative_BC: torch.Tensor, target_B1: torch.Tensor) -> torch.Tensor:
    return torch.searchsorted(cumulative_BC, target_B1, right=True).clamp_(max=cumulative_BC.shape[1] - 1)


def _invert_nucleus(probs_BV: torch.Tensor, uniforms_B: torch.Tensor, top_p_B: torch.Tensor) -> torch.Tensor:
    """Sample among the fewest most likely tokens that hold at least `top_p` of the probability."""
    sorted_BV, order_BV = probs_BV.sort(dim=-1, descending=True, stable=True)
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    kept_BV = sorted_BV.masked_fill(before_BV >= top_p_B[:, None], 0.0)
    return order_BV.gather(1, _invert(kept_BV, uniforms_B)[:, None])[:, 0]
