"""Clips that keep entropy up by holding back the tokens whose log-probability and advantage go together.

"The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models", arXiv 2505.22617, sec. 4.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor

from agentgym.training.losses.batch import TokenBatch, of_batch
from agentgym.training.losses.clips import Clip, Clipped, clipped_surrogate, unclipped


class ClipCov(Clip, name="clip_cov"):
    """PPO's clip, and no gradient for a few tokens drawn from those of high covariance (eq. 11 and 12)."""

    low: float = Field(default=0.2, ge=0, le=1)
    high: float = Field(default=0.2, ge=0)
    share: float = Field(default=0.0002, gt=0, le=1)
    """Of all tokens, how many are drawn, at least one."""
    lower: float = 1.0
    """Drawn are tokens with a covariance above this,"""
    upper: float = 5.0
    """and below this."""
    fits: ClassVar[bool] = True
    _held_N: Tensor | None = PrivateAttr(default=None)

    def fit(self, batch: TokenBatch) -> Self:
        """Return the clip with its tokens drawn; the draw depends on the iteration alone."""
        covariance_N = _covariance(batch)
        ratio = (batch.logp_N - batch.old_logp_N).clamp(-20.0, 20.0)
        _, clipped_N = clipped_surrogate(ratio, batch.advantage_N, 1.0 - self.low, 1.0 + self.high)
        candidate_M = ((covariance_N > self.lower) & (covariance_N < self.upper) & ~clipped_N).nonzero()[:, 0]
        generator = torch.Generator().manual_seed(batch.iteration)
        drawn = torch.randperm(len(candidate_M), generator=generator)[: _count(self.share, len(covariance_N))]
        held_N = torch.zeros_like(clipped_N)
        held_N[candidate_M[drawn.to(candidate_M.device)]] = True
        fitted = self.model_copy()
        fitted._held_N = held_N
        return fitted

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return PPO's clipped loss, 0 for the tokens held back."""
        loss_N, clipped_N = clipped_surrogate(log_ratio_N, batch.advantage_N, 1.0 - self.low, 1.0 + self.high)
        held_N = of_batch(self, self._held_N, batch)
        return Clipped(torch.where(held_N, 0.0, loss_N), clipped_N | held_N)


class KlCov(Clip, name="kl_cov"):
    """No clip, but a pull back to the old policy on the tokens of highest covariance (eq. 13 and 14)."""

    share: float = Field(default=0.0002, gt=0, le=1)
    """Of all tokens, how many are pulled, at least one."""
    coefficient: float = Field(default=1.0, ge=0)
    """Of |logp - old| on those."""
    fits: ClassVar[bool] = True
    _pulled_N: Tensor | None = PrivateAttr(default=None)

    def fit(self, batch: TokenBatch) -> Self:
        """Return the clip with its tokens chosen."""
        covariance_N = _covariance(batch)
        pulled_N = torch.zeros_like(covariance_N, dtype=torch.bool)
        pulled_N[covariance_N.topk(_count(self.share, len(covariance_N))).indices] = True
        fitted = self.model_copy()
        fitted._pulled_N = pulled_N
        return fitted

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return -A x ratio, plus the distance to the old policy on the chosen tokens; nothing is clipped."""
        loss_N = -batch.advantage_N * log_ratio_N.exp()
        pull_N = self.coefficient * (batch.logp_N - batch.old_logp_N).abs()
        return unclipped(loss_N + torch.where(of_batch(self, self._pulled_N, batch), pull_N, 0.0))


def _covariance(batch: TokenBatch) -> Tensor:
    """Return (A - mean A) x (logp - mean logp) of each token, shape (N,)."""
    return (batch.advantage_N - batch.advantage_N.mean()) * (batch.logp_N - batch.logp_N.mean())


def _count(share: float, tokens: int) -> int:
    return min(max(1, int(share * tokens)), tokens)
