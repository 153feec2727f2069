"""Clips that bound a token's weight instead of dropping its gradient."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import Clip, Clipped, unclipped


class Cispo(Clip, name="cispo"):
    """A bounded importance weight on the score function, -sg(clip(ratio)) A logp (MiniMax-M1, arXiv 2506.13585,
    eq. 4 and 5): every token keeps a gradient.
    """

    low: float = Field(default=1.0, ge=0, le=1)
    """The weight is at least 1 - low; 1: no lower bound."""
    high: float = Field(default=0.28, ge=0)
    """The weight is at most 1 + high."""
    mask: bool = False
    """Drop the tokens that PPO's clip would leave without gradient (eq. 6 and 7; Trinity's `enable_mask_clip`)."""

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return -sg(clip(ratio)) A logp; with `mask`, 0 for A > 0 above and A < 0 below the bounds."""
        ratio_N, advantage_N = log_ratio_N.detach().exp(), batch.advantage_N
        loss_N = -ratio_N.clamp(1.0 - self.low, 1.0 + self.high) * advantage_N * batch.logp_N
        if not self.mask:
            return unclipped(loss_N)
        out_N = ((advantage_N > 0) & (ratio_N > 1.0 + self.high)) | (
            (advantage_N < 0) & (ratio_N < 1.0 - self.low)
        )
        return Clipped(torch.where(out_N, 0.0, loss_N), out_N)


class Sapo(Clip, name="sapo"):
    """A smooth gate instead of a clip (SAPO, arXiv 2511.20347, eq. 5 and 6): -A x 4/tau x sigmoid(tau (ratio - 1)).

    Its gradient is largest at ratio 1, where it is PPO's, and fades on both sides. Trinity's code takes the
    gate for the weight of the score function instead: twice PPO's gradient at ratio 1, and the more the
    larger the ratio.
    """

    tau_positive: float = Field(default=1.0, gt=0)
    tau_negative: float = Field(default=1.05, gt=0)
    """Larger: the gate of A <= 0 closes earlier."""
    gate_as_weight: bool = False
    """Do as Trinity: -A x sg(gate) x logp."""
    published: ClassVar = {"gate_as_weight": True}

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return -A x gate, or -A x sg(gate) x logp; nothing is clipped."""
        advantage_N = batch.advantage_N
        tau_N = torch.where(advantage_N > 0, self.tau_positive, self.tau_negative)
        gate_N = torch.sigmoid(tau_N * (log_ratio_N.exp() - 1.0)) * 4.0 / tau_N
        if self.gate_as_weight:
            return unclipped(-advantage_N * gate_N.detach() * batch.logp_N)
        return unclipped(-advantage_N * gate_N)


class Topr(Clip, name="topr"):
    """Importance weights for failures only, and those at most 1 (TOPR, arXiv 2503.14286): -sg(alpha) A logp with
    alpha = clip(ratio, 0, 1) where A <= 0, and 1 elsewhere.
    """

    threshold: float = 0.0
    """Advantage up to which a token belongs to a failure."""

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return -sg(alpha) A logp; nothing is clipped."""
        tapered_N = log_ratio_N.detach().clamp(max=0.0).exp()
        alpha_N = torch.where(batch.advantage_N <= self.threshold, tapered_N, 1.0)
        return unclipped(-alpha_N * batch.advantage_N * batch.logp_N)


class Opmd(Clip, name="opmd"):
    """Online policy mirror descent: -A logp / (1 + tau), without ratio (Trinity-RFT; arXiv 2509.24203, app. B)."""

    tau: float = Field(default=1.0, ge=0)
    """Strength of the mirror term; scales the step down."""

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return -A logp / (1 + tau); nothing is clipped."""
        return unclipped(-batch.advantage_N * batch.logp_N / (1.0 + self.tau))
