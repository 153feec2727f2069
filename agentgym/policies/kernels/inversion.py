"""Inverting cumulative distributions with torch's operations.

Shapes: B rows, V tokens, C blocks of tokens, W tokens in a block.
"""

from __future__ import annotations

import torch
from torch.nn.functional import pad

# The largest number that stays under 1 after multiplication with a float32 total.
_BELOW_ONE = 1.0 - 2.0**-22
# Running sums go token by token; over blocks first and then within one they are short.
_BLOCK = 64


def invert(probs_BV: torch.Tensor, uniforms_B: torch.Tensor) -> torch.Tensor:
    """Return the tokens `[B]` at `uniforms_B`, in [0, 1), of the running sums of `probs_BV` (up to a factor)."""
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
