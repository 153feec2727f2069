"""Picking one token for each row of logits.

Each row brings its own uniform number, so that what it samples does not depend on the other rows.
Shapes: B rows, V tokens.
"""

from __future__ import annotations

import torch

from agentgym.policies.kernels import SampledTokens
from agentgym.policies.kernels.building import kernels_for
from agentgym.policies.kernels.inversion import invert


def sample_tokens(
    logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature_B: torch.Tensor, top_p_B: torch.Tensor
) -> SampledTokens:
    """Sample by inverting the cumulative distribution at `uniforms_B` (in [0, 1)).

    Log-probabilities are those at the sampling temperature before top-p truncation. Rows with temperature
    0 take the most likely token, with its log-probability at temperature 1.
    """
    kernels = kernels_for(logits_BV.device, logits_BV.dtype)
    drawn = kernels.draw(logits_BV, uniforms_B, temperature_B)
    nucleus_B = (top_p_B < 1) & (temperature_B > 0)
    if not bool(nucleus_B.any()):
        return drawn
    logprobs_BV = torch.log_softmax(logits_BV[nucleus_B].float() / temperature_B[nucleus_B, None], dim=-1)
    ids_B = _invert_nucleus(logprobs_BV.exp(), uniforms_B[nucleus_B], top_p_B[nucleus_B])
    drawn.ids_B[nucleus_B] = ids_B
    drawn.logprobs_B[nucleus_B] = logprobs_BV.gather(1, ids_B[:, None])[:, 0]
    return drawn


def _invert_nucleus(probs_BV: torch.Tensor, uniforms_B: torch.Tensor, top_p_B: torch.Tensor) -> torch.Tensor:
    """Sample among the fewest most likely tokens that hold at least `top_p` of the probability."""
    sorted_BV, order_BV = probs_BV.sort(dim=-1, descending=True, stable=True)
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    kept_BV = sorted_BV.masked_fill(before_BV >= top_p_B[:, None], 0.0)
    return order_BV.gather(1, invert(kept_BV, uniforms_B)[:, None])[:, 0]
