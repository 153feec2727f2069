"""Clips whose bounds are found anew for each optimiser step, from all its tokens."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import Clip, Clipped, clipped_surrogate

Bounds = tuple[float, float]


class Adaptive(Clip, name="adaptive"):
    """Bounds that let positive advantages have their share of the update (BAPO, arXiv 2510.18927).

    The upper bound rises, and where that is not enough the lower bound, until the share reaches `target`.
    What is counted is where we differ from the authors; see `count`.
    """

    low: float = Field(default=0.6, ge=0, le=1)
    """Where the lower bound on the ratio starts."""
    low_max: float = Field(default=0.9, ge=0, le=1)
    low_step: float = Field(default=0.02, gt=0)
    high: float = Field(default=1.2, ge=1)
    """Where the upper bound starts."""
    high_max: float = Field(default=3.0, ge=1)
    high_step: float = Field(default=0.05, gt=0)
    target: float = Field(default=0.4, gt=0)
    count: Literal["gradients", "values", "released"] = "gradients"
    """`gradients`: the share of positive advantages in the sum of |ratio x A| over the tokens that keep a
    gradient. `values`: the paper's share, of the sampler's probability x |min(ratio A, clip(ratio) A)|, in
    which raising the lower bound enlarges the negative part, the opposite of what it is for. `released`:
    the code's ratio of the clipped positive sum to the negative one, raising the lower bound first."""
    dual: float = Field(default=3.0, ge=0)
    """Bound on the ratio where the advantage is negative; 0 leaves it out."""
    fits: ClassVar[bool] = True
    published: ClassVar = {
        "count": "released",
        "low_max": 0.8,
        "low_step": 0.05,
        "high_max": 2.0,
        "target": 1.0,
    }
    _bounds: Bounds | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if self.low > self.low_max or self.high > self.high_max:
            raise ValueError("`low` and `high` are where the bounds start, at most `low_max` and `high_max`")
        if self.count != "released" and self.target >= 1:
            raise ValueError("`target` is a share, below 1, except as the released code counts")
        return self

    @property
    def bounds(self) -> Bounds:
        """The bounds on the ratio; those of the start where nothing was fitted."""
        return self._bounds or (self.low, self.high)

    def fit(self, batch: TokenBatch) -> Self:
        """Return the clip with the bounds that `batch` asks for."""
        log_ratio_N = (batch.logp_N - batch.old_logp_N).clamp(-20.0, 20.0).double()
        found = self._search(_Contributions(self.count, log_ratio_N.exp(), batch))
        fitted = self.model_copy()
        fitted._bounds = found
        return fitted

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return PPO's clipped loss within the bounds."""
        return clipped_surrogate(log_ratio_N, batch.advantage_N, *self.bounds, self.dual)

    def _search(self, contributions: _Contributions) -> Bounds:
        low, high = self.low, self.high
        order = ("low", "high") if self.count == "released" else ("high", "low")
        for bound in order:
            while contributions.share(low, high) < self.target:
                if bound == "low" and low < self.low_max:
                    low = _raised(low, self.low_step, self.low_max)
                elif bound == "high" and high < self.high_max:
                    high = _raised(high, self.high_step, self.high_max)
                else:
                    break
        return low, high


class _Contributions:
    """What positive and negative advantages contribute to an update, given bounds on the ratio."""

    def __init__(self, count: str, ratio_N: Tensor, batch: TokenBatch) -> None:
        self._count = count
        self._ratio_N = ratio_N
        self._advantage_N = batch.advantage_N.double()
        self._weight_N = batch.need("sampler_logp_N").double().exp() if count == "values" else 1.0

    def share(self, low: float, high: float) -> float:
        """Return the share of the positive part, or as the released code counts its ratio to the negative one."""
        gain_N = self._advantage_N > 0
        size_N = self._sizes(low, high)
        positive, negative = float(size_N[gain_N].sum()), float(size_N[~gain_N].sum())
        if self._count == "released":
            return positive / negative if negative > 0 else math.inf
        whole = positive + negative
        return positive / whole if whole > 0 else math.inf

    def _sizes(self, low: float, high: float) -> Tensor:
        gain_N = self._advantage_N > 0
        pull_N = (self._ratio_N * self._advantage_N).abs()
        if self._count == "gradients":
            clipped_N = (gain_N & (self._ratio_N > high)) | (~gain_N & (self._ratio_N < low))
            return pull_N * ~clipped_N
        bounded_N = self._ratio_N.clamp(max=high).where(gain_N, self._ratio_N.clamp(min=low))
        return (bounded_N * self._advantage_N).abs() * self._weight_N


class SecondMoment(Clip, name="m2"):
    """Clips only as far as the spread of the log-ratio demands (M2PO, arXiv 2510.01161).

    Over the tokens where the ratio already points the advantage's way, the mean squared log-ratio is held
    to `budget` by the smallest clip that does so; below the budget nothing is clipped.
    """

    budget: float = Field(default=0.04, gt=0)
    low_min: float = Field(default=0.0, ge=0, le=1)
    """The clip never comes closer to 1 from below than this."""
    high_min: float = Field(default=0.0, ge=0)
    """Nor from above than this."""
    fits: ClassVar[bool] = True
    _tau: float = PrivateAttr(default=math.inf)

    @property
    def bounds(self) -> Bounds:
        """The bounds on the ratio: exp(-tau) and exp(tau)."""
        low, high = math.exp(-self._tau), math.exp(min(self._tau, 20.0))
        return min(low, 1.0 - self.low_min), max(high, 1.0 + self.high_min)

    def fit(self, batch: TokenBatch) -> Self:
        """Return the clip with the bound that `batch` asks for."""
        log_ratio_N = (batch.logp_N - batch.old_logp_N).clamp(-20.0, 20.0).double()
        harmful_N = log_ratio_N * batch.advantage_N > 0
        fitted = self.model_copy()
        fitted._tau = _clip_to_mean(log_ratio_N[harmful_N].square(), self.budget)
        return fitted

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return PPO's clipped loss within the bounds."""
        return clipped_surrogate(log_ratio_N, batch.advantage_N, *self.bounds)


def _clip_to_mean(squares: Tensor, budget: float) -> float:
    """Return tau such that min(squares, tau^2) has mean `budget`; infinity where the mean is not above it."""
    count = len(squares)
    if not count or float(squares.mean()) <= budget:
        return math.inf
    ascending, _ = squares.sort()
    left_M = budget * count - (ascending.cumsum(0) - ascending)  # for those from each on, when clipped alike
    clipped_M = left_M / (count - torch.arange(count, device=squares.device))
    first = int((clipped_M <= ascending).nonzero()[0, 0])
    return math.sqrt(float(clipped_M[first]))


def _raised(bound: float, step: float, most: float) -> float:
    """Return the next bound; steps of 0.05 do not add up exactly in binary, hence the rounding."""
    return min(round(bound + step, 9), most)
