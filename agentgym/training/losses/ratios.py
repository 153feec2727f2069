"""Ratios: which importance ratio a token's loss uses."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from agentgym.training.losses.batch import LossPart, TokenBatch


class Ratio(LossPart, kind="ratio"):
    """What importance ratio a token's loss uses."""

    @abstractmethod
    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the log of the ratio for each token, shape (N,), with gradient."""


class TokenRatio(Ratio, name="token"):
    """Each token's own ratio (PPO)."""

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return logp - old, clamped to [-20, 20] as verl does, shape (N,)."""
        return (batch.logp_N - batch.old_logp_N).clamp(-20.0, 20.0)


class TurnRatio(Ratio, name="turn"):
    """The geometric mean of the ratios of a turn's tokens (GSPO, arXiv 2507.18071, eq. 7 and GSPO-token)."""

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the mean log-ratio of each token's turn, shape (N,).

        The gradient reaches each token through its own log-probability, so that per-token weights of
        the aggregation act as in GSPO-token.
        """
        difference_N = (batch.logp_N - batch.old_logp_N).detach()
        turns = int(batch.turn_N.max()) + 1 if len(batch.turn_N) else 0
        zero_R = difference_N.new_zeros(turns)
        total_R = zero_R.index_add(0, batch.turn_N, difference_N)
        length_R = zero_R.index_add(0, batch.turn_N, torch.ones_like(difference_N))
        mean_N = (total_R / length_R.clamp(min=1.0))[batch.turn_N]
        return (batch.logp_N - batch.logp_N.detach() + mean_N).clamp(max=10.0)
