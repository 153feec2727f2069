"""Clips: how ratio and advantage become a token's loss, and how far the ratio may pull."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from agentgym.training.losses.batch import LossPart, TokenBatch


class Clipped(NamedTuple):
    """Per-token losses, and which tokens lost their gradient to the clip; both of shape (N,)."""

    loss_N: Tensor
    clipped_N: Tensor


class Clip(LossPart, kind="clip"):
    """How the ratio's pull is bounded."""

    @abstractmethod
    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return the loss of each token and whether it was clipped."""


class NoClip(Clip, name="none"):
    """The plain importance-weighted policy gradient, -A x ratio."""

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return -A x ratio; nothing is clipped."""
        loss_N = -batch.advantage_N * log_ratio_N.exp()
        return Clipped(loss_N, torch.zeros_like(loss_N, dtype=torch.bool))


class PpoClip(Clip, name="ppo"):
    """PPO's clip (arXiv 1707.06347, eq. 7) with separate bounds (DAPO, arXiv 2503.14476) and dual clip
    (arXiv 1912.09729, eq. 5).
    """

    low: float = Field(default=0.2, ge=0, le=1)
    """The ratio is clipped below 1 - low."""
    high: float = Field(default=0.2, ge=0)
    """The ratio is clipped above 1 + high."""
    dual: float = Field(default=3.0, ge=0)
    """Bound on the ratio where the advantage is negative; 0 leaves it out."""

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return max(-A rho, -A clip(rho)), for A < 0 at most -A x dual."""
        ratio_N, advantage_N = log_ratio_N.exp(), batch.advantage_N
        free_N = -advantage_N * ratio_N
        bound_N = -advantage_N * ratio_N.clamp(1.0 - self.low, 1.0 + self.high)
        loss_N = torch.maximum(free_N, bound_N)
        clipped_N = bound_N > free_N
        if self.dual:
            ceiling_N = -advantage_N * self.dual
            over_N = (advantage_N < 0) & (loss_N > ceiling_N)
            loss_N = torch.where(over_N, ceiling_N, loss_N)
            clipped_N = clipped_N | over_N
        return Clipped(loss_N, clipped_N)
