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
        return unclipped(-batch.advantage_N * log_ratio_N.exp())


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
        return clipped_surrogate(log_ratio_N, batch.advantage_N, 1.0 - self.low, 1.0 + self.high, self.dual)


class CentredClip(Clip, name="centred"):
    """PPO's clip around what the proximal policy already does: min(r A, clip(r, c - low, c + high) A) with
    c = proximal / sampler (ReMix, "Squeeze the Soaked Sponge"). For ratios to the sampler (`behaviour`), so
    that old samples may be learned from without pulling the policy back to the one that made them.
    """

    low: float = Field(default=0.2, ge=0, le=1)
    high: float = Field(default=0.2, ge=0)
    dual: float = Field(default=0.0, ge=0)
    """As in `ppo`, in units of c; 0 leaves it out."""

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return max(-A r, -A clip(r)), for A < 0 at most -A x dual x c."""
        centre_N = (batch.old_logp_N - batch.need("sampler_logp_N")).clamp(-20.0, 20.0).exp()
        low_N, high_N = (centre_N - self.low).clamp(min=0.0), centre_N + self.high
        return clipped_surrogate(log_ratio_N, batch.advantage_N, low_N, high_N, self.dual * centre_N)


class ScoreFunction(Clip, name="score"):
    """REINFORCE: -A x logp, whatever the ratio (AsymRE, arXiv 2506.20520, with a shifted baseline)."""

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return -A x logp; nothing is clipped."""
        return unclipped(-batch.advantage_N * batch.logp_N)


def clipped_surrogate(
    log_ratio_N: Tensor,
    advantage_N: Tensor,
    low: float | Tensor,
    high: float | Tensor,
    dual: float | Tensor = 0.0,
) -> Clipped:
    """Return max(-A r, -A clip(r, low, high)), for A < 0 at most -A x dual where dual is above 0."""
    ratio_N = log_ratio_N.exp()
    low_N, high_N, dual_N = (torch.as_tensor(value).to(ratio_N) for value in (low, high, dual))
    free_N = -advantage_N * ratio_N
    bound_N = -advantage_N * ratio_N.clamp(low_N, high_N)
    loss_N = torch.maximum(free_N, bound_N)
    clipped_N = bound_N > free_N
    ceiling_N = -advantage_N * dual_N
    over_N = (dual_N > 0) & (advantage_N < 0) & (loss_N > ceiling_N)
    return Clipped(torch.where(over_N, ceiling_N, loss_N), clipped_N | over_N)


def unclipped(loss_N: Tensor) -> Clipped:
    """Return losses of which none is clipped."""
    return Clipped(loss_N, torch.zeros_like(loss_N, dtype=torch.bool))
