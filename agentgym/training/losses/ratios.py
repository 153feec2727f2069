"""Ratios: which importance ratio a token's loss uses.

Where several tokens share a ratio, its value is theirs together and its gradient reaches each token through the
token's own log-probability (as in GSPO-token), so that the weights of the aggregation act token by token.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self

from pydantic import PrivateAttr
from torch import Tensor

from agentgym.training.losses.batch import LossPart, TokenBatch, means_by, of_batch, sums_by


class Ratio(LossPart, kind="ratio"):
    """What importance ratio a token's loss uses."""

    to_sampler: ClassVar[bool] = False
    """Whether it is taken to the sampler instead of the proximal policy."""

    @abstractmethod
    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the log of the ratio for each token, shape (N,), with gradient."""


class NoRatio(Ratio, name="none"):
    """No ratio: its value is 1, and the gradient that of the score function."""

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return 0 for each token, shape (N,), with the gradient of logp."""
        return batch.logp_N - batch.logp_N.detach()


class TokenRatio(Ratio, name="token"):
    """Each token's own ratio (PPO)."""

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return logp - old, clamped to [-20, 20] as verl does, shape (N,)."""
        return (batch.logp_N - batch.old_logp_N).clamp(-20.0, 20.0)


class BehaviourRatio(Ratio, name="behaviour"):
    """Each token's own ratio to the policy that sampled it, whatever the proximal policy is (ReMix)."""

    to_sampler: ClassVar[bool] = True

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return logp - sampler's, clamped to [-20, 20], shape (N,)."""
        return (batch.logp_N - batch.need("sampler_logp_N")).clamp(-20.0, 20.0)


class TurnRatio(Ratio, name="turn"):
    """The geometric mean of the ratios of a turn's tokens (GSPO, arXiv 2507.18071, eq. 7 and GSPO-token)."""

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the mean log-ratio of each token's turn, at most 10, shape (N,)."""
        mean_R = means_by(batch.turn_N, (batch.logp_N - batch.old_logp_N).detach())
        return (_with_gradient(batch, mean_R[batch.turn_N])).clamp(max=10.0)


class TurnProduct(Ratio, name="turn_product"):
    """The ratio of a whole turn, the product over its tokens. Unbiased, and soon useless: it grows with length.

    With the aggregation `seq_mean_token_sum` the gradient is that of one term per turn.
    """

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the sum of the log-ratios of each token's turn, clamped to [-20, 20], shape (N,)."""
        sum_R = sums_by(batch.turn_N, (batch.logp_N - batch.old_logp_N).detach())
        return _with_gradient(batch, sum_R[batch.turn_N]).clamp(-20.0, 20.0)


class TrajectoryProduct(Ratio, name="trajectory_product"):
    """The ratio of a whole trajectory, the product over its tokens; see `turn_product`."""

    fits: ClassVar[bool] = True
    _log_ratio_N: Tensor | None = PrivateAttr(default=None)

    def fit(self, batch: TokenBatch) -> Self:
        """Return the ratio with the products over trajectories, whose turns may lie in several micro-batches."""
        trajectory_N = batch.need("trajectory_N")
        fitted = self.model_copy()
        fitted._log_ratio_N = sums_by(trajectory_N, batch.logp_N - batch.old_logp_N)[trajectory_N]
        return fitted

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the sum of the log-ratios of each token's trajectory, clamped to [-20, 20], shape (N,)."""
        return _with_gradient(batch, of_batch(self, self._log_ratio_N, batch)).clamp(-20.0, 20.0)


def _with_gradient(batch: TokenBatch, value_N: Tensor) -> Tensor:
    """Return values with the gradient of each token's own log-probability."""
    return batch.logp_N - batch.logp_N.detach() + value_N
