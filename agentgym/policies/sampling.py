"""Picking one token for each row of logits.

Each row brings its own uniform number, so that what it samples does not depend on the other rows.
Shapes: B rows, V tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

# The largest number that stays under 1 after multiplication with a float32 total.
_BELOW_ONE = 1.0 - 2.0**-22


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
    logp_BV = torch.log_softmax(logits_BV.float() / scale_B[:, None], dim=-1)
    probs_BV = logp_BV.exp()
    ids_B = _invert(probs_BV, uniforms_B)
    nucleus_B = (top_p_B < 1) & ~greedy_B
    if bool(nucleus_B.any()):
        ids_B[nucleus_B] = _invert_nucleus(probs_BV[nucleus_B], uniforms_B[nucleus_B], top_p_B[nucleus_B])
    if bool(greedy_B.any()):
        ids_B = torch.where(greedy_B, logp_BV.argmax(-1), ids_B)
    return SampledTokens(ids_B, logp_BV.gather(1, ids_B[:, None])[:, 0])


def _invert(probs_BV: torch.Tensor, uniforms_B: torch.Tensor) -> torch.Tensor:
    cumulative_BV = probs_BV.cumsum(-1)
    target_B = uniforms_B.clamp(max=_BELOW_ONE) * cumulative_BV[:, -1]
    ids_B = torch.searchsorted(cumulative_BV, target_B[:, None], right=True)[:, 0]
    return ids_B.clamp_(max=probs_BV.shape[-1] - 1)


def _invert_nucleus(probs_BV: torch.Tensor, uniforms_B: torch.Tensor, top_p_B: torch.Tensor) -> torch.Tensor:
    """Sample among the fewest most likely tokens that hold at least `top_p` of the probability."""
    sorted_BV, order_BV = probs_BV.sort(dim=-1, descending=True, stable=True)
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    kept_BV = sorted_BV.masked_fill(before_BV >= top_p_B[:, None], 0.0)
    return order_BV.gather(1, _invert(kept_BV, uniforms_B)[:, None])[:, 0]
