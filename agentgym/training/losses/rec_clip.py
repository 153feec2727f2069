"""REC: the score function with a clip mask and a detached weight."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import Clip, Clipped


class Rec(Clip, name="rec"):
    """-A w logp on the tokens inside a range of the ratio ("Group-Relative REINFORCE Is Secretly Off-Policy",
    arXiv 2509.24203, sec. 4). The clip does the work; the importance weight may be left out.

    What range and weight see is the recipe's ratio: with `turn` it is REC-GSPO (Trinity's `gspo-one-side` and
    `gspo_importance_sampling`).
    """

    mode: Literal["none", "one_side", "two_side", "ring"] = "one_side"
    """`one_side`: as PPO, out is a ratio above 1 + high for A >= 0 and below 1 - low for A <= 0 (A = 0 has no
    gradient anyway). `two_side`: out is whatever lies outside these bounds. `ring`: `two_side`, but in again
    are A >= 0 at or below 1 - low_far and A <= 0 at or above 1 + high_far, where moving back is harmless."""
    weight: Literal["none", "importance", "advantage"] = "none"
    """`importance`: the ratio. `advantage`: exp(A / temperature), which favours successes (RED-Weight)."""
    low: float = Field(default=0.2, ge=0, le=1)
    high: float = Field(default=0.2, ge=0)
    low_far: float = Field(default=0.6, ge=0, le=1)
    high_far: float = Field(default=2.0, ge=0)
    temperature: float = Field(default=1.0, gt=0)

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return -A w logp, and 0 outside the range."""
        ratio_N = log_ratio_N.detach().exp()
        inside_N = self._inside(ratio_N, batch.advantage_N)
        loss_N = -batch.advantage_N * self._weight(ratio_N, batch.advantage_N) * batch.logp_N
        return Clipped(torch.where(inside_N, loss_N, 0.0), ~inside_N)

    def _inside(self, ratio_N: Tensor, advantage_N: Tensor) -> Tensor:
        below_N, above_N = ratio_N <= 1.0 + self.high, ratio_N >= 1.0 - self.low
        gain_N, loss_N = advantage_N >= 0, advantage_N <= 0
        if self.mode == "none":
            return torch.ones_like(gain_N)
        if self.mode == "one_side":
            return (gain_N & below_N) | (loss_N & above_N)
        if self.mode == "two_side":
            return below_N & above_N
        far_N = (gain_N & (ratio_N <= 1.0 - self.low_far)) | (loss_N & (ratio_N >= 1.0 + self.high_far))
        return (below_N & above_N) | far_N

    def _weight(self, ratio_N: Tensor, advantage_N: Tensor) -> Tensor:
        if self.weight == "importance":
            return ratio_N
        return (
            (advantage_N / self.temperature).exp() if self.weight == "advantage" else torch.ones_like(ratio_N)
        )
