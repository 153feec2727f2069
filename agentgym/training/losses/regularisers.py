"""Regularisers: terms added to each token's loss."""

from __future__ import annotations

from abc import abstractmethod
from math import ceil
from typing import ClassVar, Literal, TypeAlias

from pydantic import Field
from torch import Tensor

from agentgym.training.losses.batch import LossPart, TokenBatch

Estimator: TypeAlias = Literal["k1", "k2", "k3", "abs"]


class Regulariser(LossPart, kind="regulariser"):
    """A term added to each token's loss."""

    coefficient: float = Field(ge=0)
    differentiates_entropy: ClassVar[bool] = False
    """Whether `TokenBatch.entropy_N` must carry a gradient."""

    @abstractmethod
    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the term without its coefficient, shape (N,)."""


class Kl(Regulariser, name="kl"):
    """Divergence from the reference policy, by one of Schulman's estimators (http://joschu.net/blog/kl-approx.html)."""

    estimator: Estimator = "k3"
    needs = frozenset({"reference"})

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the estimator's value for each token, shape (N,)."""
        return kl_estimate(batch.logp_N, batch.need("reference_logp_N"), self.estimator)


class KlToProximal(Regulariser, name="kl_proximal"):
    """Divergence from the proximal policy, the ratio's denominator. REC's regulariser `k2` is the square without
    the half: `k2` with twice its coefficient (arXiv 2509.24203).
    """

    estimator: Estimator = "k3"

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the estimator's value for each token, shape (N,)."""
        return kl_estimate(batch.logp_N, batch.old_logp_N, self.estimator)


class ForwardKl(Regulariser, name="forward_kl"):
    """Divergence of the sampler's policy from this one, up to a constant: imitate what was sampled (REC's
    `forward-kl`, arXiv 2509.24203).
    """

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return -logp of each token, shape (N,)."""
        return -batch.logp_N


class KlMix(Regulariser, name="kl_mix"):
    """lambda KL(policy || reference) + (1 - lambda) KL(policy || proximal), with lambda falling from 1 in steps
    (ReMix, "Squeeze the Soaked Sponge"): max(1 - fall x ceil(max(iteration - start, 0) / every), floor).
    """

    estimator: Estimator = "k3"
    start: int = Field(default=50, ge=0)
    every: int = Field(default=10, ge=1)
    fall: float = Field(default=0.1, ge=0, le=1)
    floor: float = Field(default=0.5, ge=0, le=1)
    needs = frozenset({"reference", "proximal"})

    def share(self, iteration: int) -> float:
        """Return lambda at an iteration, counted from 0."""
        return max(1.0 - self.fall * ceil(max(iteration - self.start, 0) / self.every), self.floor)

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the mix of the estimator's values for each token, shape (N,)."""
        share = self.share(batch.iteration)
        to_reference_N = kl_estimate(batch.logp_N, batch.need("reference_logp_N"), self.estimator)
        to_proximal_N = kl_estimate(batch.logp_N, batch.old_logp_N, self.estimator)
        return share * to_reference_N + (1.0 - share) * to_proximal_N


class Entropy(Regulariser, name="entropy"):
    """Reward for an undecided distribution: minus its entropy, in nats."""

    needs = frozenset({"entropy"})
    differentiates_entropy = True

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return minus the entropy of each token's distribution, shape (N,)."""
        return -batch.need("entropy_N")


def kl_estimate(logp: Tensor, reference: Tensor, estimator: Estimator) -> Tensor:
    """Estimate KL(policy || reference) per sampled token; same shape as `logp`.

    With d = logp - reference: k1 = d, abs = |d|, k2 = d^2 / 2, k3 = exp(-d) + d - 1; k3 with verl's clamps (-d to
    [-20, 20], the result to [-10, 10]).
    """
    difference = logp - reference
    if estimator == "k1":
        return difference
    if estimator == "abs":
        return difference.abs()
    if estimator == "k2":
        return difference.square() / 2
    inverse = (-difference).clamp(-20.0, 20.0)
    return (inverse.exp() - inverse - 1.0).clamp(-10.0, 10.0)
