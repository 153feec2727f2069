"""Corrections: weights for what the sampler did that the proximal policy would not have done as often."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from agentgym.training.losses.batch import LossPart, TokenBatch


class Correction(LossPart, kind="correction"):
    """A factor on each token's policy loss, without gradient. Several multiply."""

    @abstractmethod
    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the factor of each token, shape (N,)."""
