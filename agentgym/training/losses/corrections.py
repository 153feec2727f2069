"""Corrections: weights for what the sampler did that the proximal policy would not have done as often.

The ratio here is proximal / sampler: with the proximal policy `sampler` it is 1 and none of this does anything.
Rejected tokens still count in the weights of the aggregation, unlike in verl, which takes its means over what is
left: the step becomes smaller with every rejected token instead of leaning more on the others.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from agentgym.training.losses.batch import LossPart, TokenBatch, means_by, of_batch, sums_by

Level = Literal["token", "turn", "trajectory"]


class Correction(LossPart, kind="correction"):
    """A factor on each token's policy loss, without gradient. Several multiply."""

    @abstractmethod
    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the factor of each token, shape (N,)."""


class _OfStep(Correction):
    """A correction whose factors depend on the step's tokens but not on the current weights."""

    fits: ClassVar[bool] = True
    fits_logp: ClassVar[bool] = False
    _factor_N: Tensor | None = PrivateAttr(default=None)

    @abstractmethod
    def factors(self, batch: TokenBatch) -> Tensor:
        """Return the factor of each of the step's tokens, shape (N,)."""

    def fit(self, batch: TokenBatch) -> Self:
        """Return the correction with its factors."""
        fitted = self.model_copy()
        fitted._factor_N = self.factors(batch)
        return fitted

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the factor of each token, shape (N,)."""
        return of_batch(self, self._factor_N, batch)


class TruncatedImportance(_OfStep, name="truncated_importance"):
    """The ratio, truncated at `cap` (truncated importance sampling; verl's rollout correction). Without a cap it is
    decoupled PPO's weight (arXiv 2110.00641; AReaL, arXiv 2505.24298, eq. 5).
    """

    level: Level = "token"
    """Of `turn` and `trajectory` the product over their tokens, which for long ones saturates or vanishes."""
    cap: float = Field(default=2.0, ge=0)
    """Largest weight; 0: none."""
    normalise: bool = False
    """Divide by the mean weight of the step: over tokens, turns or trajectories, as `level` says."""

    def factors(self, batch: TokenBatch) -> Tensor:
        """Return the truncated weight of each token, shape (N,)."""
        log_ratio_N = _log_ratios(batch)
        if self.level == "token":
            weight_N = self._truncated(log_ratio_N)
            return weight_N / weight_N.mean() if self.normalise else weight_N
        unit_N = _unit(self.level, batch)
        weight_U = self._truncated(sums_by(unit_N, log_ratio_N))
        mean = weight_U[unit_N.unique()].mean() if self.normalise else 1.0
        return weight_U[unit_N] / mean

    def _truncated(self, log_ratio: Tensor) -> Tensor:
        weight = log_ratio.clamp(-20.0, 20.0).exp()
        return weight.clamp(max=self.cap) if self.cap else weight


class Rejection(_OfStep, name="rejection"):
    """Nothing is learned where the ratio lies outside [low, high].

    Of tokens with [1/c, c] it is the mask for the discrepancy of train and inference in "Missing Old Logits"
    (arXiv 2605.12070); of turns or trajectories verl's geometric rejection, for which it has [0.999, 1.001].
    """

    level: Level = "token"
    """Of `turn` and `trajectory` the geometric mean over their tokens."""
    low: float = Field(default=0.5, ge=0)
    high: float = Field(default=2.0, gt=0)

    @model_validator(mode="after")
    def _holds_one(self) -> Self:
        if not self.low <= 1.0 <= self.high:
            raise ValueError(
                f"the band [{self.low:g}, {self.high:g}] must hold 1, the ratio of equal policies"
            )
        return self

    def factors(self, batch: TokenBatch) -> Tensor:
        """Return 1 for the tokens that are kept and 0 for the others, shape (N,)."""
        log_ratio_N = _log_ratios(batch)
        if self.level != "token":
            unit_N = _unit(self.level, batch)
            log_ratio_N = means_by(unit_N, log_ratio_N)[unit_N]
        ratio_N = log_ratio_N.exp()
        return ((ratio_N >= self.low) & (ratio_N <= self.high)).to(ratio_N.dtype)


class LeftBehind(Correction, name="left_behind"):
    """Nothing is learned from a turn with A < 0 that the policy has left: where the mean of old - current
    log-probability is above `limit` (DeepSeek-V3.2, arXiv 2512.02556, off-policy sequence masking).
    """

    limit: float = Field(default=0.1, ge=0)
    """In nats per token."""

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return 0 for the tokens of such turns and 1 for the others, shape (N,)."""
        left_R = means_by(batch.turn_N, batch.old_logp_N - batch.logp_N.detach())
        dropped_N = (batch.advantage_N < 0) & (left_R[batch.turn_N] > self.limit)
        return (~dropped_N).to(batch.logp_N.dtype)


def _log_ratios(batch: TokenBatch) -> Tensor:
    """Return the log of proximal / sampler of each token, shape (N,); of tokens, clamped to [-20, 20]."""
    return (batch.old_logp_N - batch.need("sampler_logp_N")).clamp(-20.0, 20.0)


def _unit(level: Level, batch: TokenBatch) -> Tensor:
    return batch.turn_N if level == "turn" else batch.need("trajectory_N")
