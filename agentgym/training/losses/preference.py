"""Losses over pairs of rollouts: what counts is how much more the policy came to like one than the other.

They are not linear in the log-probabilities of tokens, so they are not sums over tokens. `fit` takes the
pairs' margins over the whole step; the loss of a token is then its share of the pairs' loss, with the pairs'
slope as the gradient of its log-probability. They are means over pairs already: the
aggregation is to be `{name = "constant", tokens = 1, rows = "one"}`, the plain sum.

Legend: N tokens, M compared members (the compared tokens of one trajectory), P pairs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor
from torch.nn.functional import logsigmoid

from agentgym.training.losses.batch import TokenBatch, of_batch
from agentgym.training.losses.clips import Clip, Clipped


class PairLoss(Clip):
    """Mean over pairs of a loss of the difference of two members' summed log-ratios.

    Tokens whose advantage is 0 are not compared. All tokens of a trajectory that are compared have the same
    advantage, which says on which side it is (see `agentgym.training.advantages.pairs`).
    """

    fits: ClassVar[bool] = True
    only_credited: ClassVar[bool] = True
    _value_N: Tensor | None = PrivateAttr(None)
    """Each token's share of the loss, over all tokens of the step."""
    _slope_N: Tensor | None = PrivateAttr(None)
    """Derivative of the loss by each token's log-probability."""

    def members(self, batch: TokenBatch, compared: Tensor) -> tuple[Tensor, Tensor]:
        """Return member (0..M-1) and group of the compared tokens: the trajectory is the member."""
        return _numbered(batch.need("trajectory_N")[compared]), batch.need("group_N")[compared]

    @abstractmethod
    def log_ratios(self, batch: TokenBatch) -> Tensor:
        """Return the log-ratio of each token whose sums are compared, shape (N,)."""

    @abstractmethod
    def comparable(self, first: Tensor, second: Tensor) -> Tensor:
        """Return which two members of one group, of advantages `first` and `second`, make a pair."""

    @abstractmethod
    def pair_loss(self, margin_P: Tensor, difference_P: Tensor) -> Tensor:
        """Return the loss of pairs by their difference of log-ratios and of advantages, shape (P,)."""

    def fit(self, batch: TokenBatch) -> Self:
        """Take the pairs' margins over all tokens of a step."""
        value_N, slope_N = torch.zeros_like(batch.logp_N), torch.zeros_like(batch.logp_N)
        compared = (batch.advantage_N != 0).nonzero()[:, 0]
        if len(compared):
            shares = self._shares(batch, compared)
            value_N[compared], slope_N[compared] = (share.to(value_N) for share in shares)
        fitted = self.model_copy()
        fitted._value_N, fitted._slope_N = value_N, slope_N
        return fitted

    def _shares(self, batch: TokenBatch, compared: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and slope of each compared token, each of shape (compared,)."""
        member_S, group_S = self.members(batch, compared)
        zero_M = torch.zeros(int(member_S.max()) + 1, dtype=torch.float64, device=member_S.device)
        size_M = zero_M.index_add(0, member_S, torch.ones_like(zero_M)[member_S])
        log_ratio_M = zero_M.index_add(0, member_S, self.log_ratios(batch)[compared].double())
        advantage_M = zero_M.index_copy(0, member_S, batch.advantage_N[compared].double())
        group_M = torch.zeros_like(zero_M, dtype=torch.long).index_copy(0, member_S, group_S)
        same_MM = group_M[:, None] == group_M[None]
        first, second = (same_MM & self.comparable(advantage_M[:, None], advantage_M[None])).nonzero().T
        if not len(first):
            return zero_M[member_S], zero_M[member_S]
        with torch.enable_grad():
            margin_P = (log_ratio_M[first] - log_ratio_M[second]).requires_grad_()
            loss_P = self.pair_loss(margin_P, advantage_M[first] - advantage_M[second])
            (slope_P,) = torch.autograd.grad(loss_P.mean(), margin_P)
        slope_M = zero_M.index_add(0, first, slope_P).index_add(0, second, -slope_P)
        half_P = loss_P.detach() / (2 * len(first))
        value_M = zero_M.index_add(0, first, half_P).index_add(0, second, half_P)
        return (value_M / size_M)[member_S], slope_M[member_S]

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return each token's share of the loss, with its gradient; nothing is clipped, the ratio not used."""
        value_N, slope_N = (of_batch(self, column, batch) for column in (self._value_N, self._slope_N))
        loss_N = value_N + slope_N * (batch.logp_N - batch.logp_N.detach())
        return Clipped(loss_N, torch.zeros_like(loss_N, dtype=torch.bool))


class Dpo(PairLoss, name="dpo"):
    """Direct preference optimisation (arXiv 2305.18290, eq. 7) over whole trajectories, with label smoothing.

    Every member with a positive advantage is preferred to every one of its group with a negative one.
    """

    beta: float = Field(default=0.1, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Probability that a preference is the wrong way round."""
    pooled: bool = False
    """Add up all the step's preferred and all its rejected rollouts before the sigmoid, as Trinity-RFT's
    released loss does: one margin, whatever the number of pairs."""
    published: ClassVar[Mapping[str, Any]] = {"pooled": True}
    needs: ClassVar[frozenset[str]] = frozenset({"reference"})

    def members(self, batch: TokenBatch, compared: Tensor) -> tuple[Tensor, Tensor]:
        """Return member and group of the compared tokens; pooled, the two sides are the members of one."""
        if not self.pooled:
            return super().members(batch, compared)
        side_S = _numbered(batch.advantage_N[compared] > 0)
        return side_S, torch.zeros_like(side_S)

    def log_ratios(self, batch: TokenBatch) -> Tensor:
        """Return the log-ratio to the reference, shape (N,)."""
        return batch.logp_N - batch.need("reference_logp_N")

    def comparable(self, first: Tensor, second: Tensor) -> Tensor:
        """Preferred against rejected."""
        return (first > 0) & (second < 0)

    def pair_loss(self, margin_P: Tensor, difference_P: Tensor) -> Tensor:
        """Return -(1 - e) log sigmoid(beta z) - e log sigmoid(-beta z), shape (P,)."""
        scaled_P = self.beta * margin_P
        smoothing = self.label_smoothing
        return -(1 - smoothing) * logsigmoid(scaled_P) - smoothing * logsigmoid(-scaled_P)


class Refuel(PairLoss, name="refuel"):
    """Regression of the relative future (REFUEL, arXiv 2410.04612): how much more likely one answer than the
    other became since the policy of the ratio, towards `eta` times the difference of what followed them.

    Every two compared members of a group are a pair, whichever did better: choosing pairs by their noisy
    rewards would overstate the differences.
    """

    eta: float = Field(default=1.0, gt=0)

    def log_ratios(self, batch: TokenBatch) -> Tensor:
        """Return the log-ratio to the policy before, shape (N,)."""
        return batch.logp_N - batch.old_logp_N

    def comparable(self, first: Tensor, second: Tensor) -> Tensor:
        """Each two once; a member is not its own partner."""
        return torch.ones_like(first * second, dtype=torch.bool).triu(1)

    def pair_loss(self, margin_P: Tensor, difference_P: Tensor) -> Tensor:
        """Return (margin - eta x difference)^2, shape (P,)."""
        return (margin_P - self.eta * difference_P).square()


def _numbered(labels_S: Tensor) -> Tensor:
    """Return the labels as 0, 1, 2 ... in their order."""
    labels: Any = labels_S
    return labels.unique(return_inverse=True)[1]
