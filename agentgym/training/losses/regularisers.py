"""Regularisers: terms added to each token's loss."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from agentgym.training.losses.batch import LossPart, TokenBatch


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

    estimator: Literal["k1", "k2", "k3"] = "k3"
    needs = frozenset({"reference"})

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the estimator's value for each token, shape (N,)."""
        return kl_estimate(batch.logp_N, batch.need("reference_logp_N"), self.estimator)


class Entropy(Regulariser, name="entropy"):
    """Reward for an undecided distribution: minus its entropy, in nats."""

    needs = frozenset({"entropy"})
    differentiates_entropy = True

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return minus the entropy of each token's distribution, shape (N,)."""
        return -batch.need("entropy_N")


def kl_estimate(logp: Tensor, reference: Tensor, estimator: Literal["k1", "k2", "k3"]) -> Tensor:
    """Estimate KL(policy || reference) per sampled token; same shape as `logp`.

    With d = logp - reference: k1 = d, k2 = d^2 / 2, k3 = exp(-d) + d - 1; k3 with verl's clamps (-d to
    [-20, 20], the result to [-10, 10]).
    """
    difference = logp - reference
    if estimator == "k1":
        return difference
    if estimator == "k2":
        return difference.square() / 2
    inverse = (-difference).clamp(-20.0, 20.0)
    return (inverse.exp() - inverse - 1.0).clamp(-10.0, 10.0)
