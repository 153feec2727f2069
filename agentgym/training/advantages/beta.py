"""Advantages weighted by how rare the group's success rate is in the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from agentgym.training.advantages.base import Advantage, Singleton
from agentgym.training.turns import Samples, TurnTable, Values

LEAST_SPREAD = 1e-6
"""Rates that differ by less are equal: a distribution fitted to them would be a spike of no precision."""


class Scored(Advantage):
    """An advantage that takes the return for a success rate: `worst` is 0, `best` is 1."""

    worst: float = 0.0
    best: float = 1.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.worst < self.best:
            raise ValueError(f"`best` must be above `worst`, got {self.best} and {self.worst}")
        return self

    def success(self, turns: TurnTable) -> Values:
        """Return each trajectory's return mapped to 0..1, shape (T,); what lies outside counts as the bound."""
        return np.clip((turns.score_T - self.worst) / (self.best - self.worst), 0.0, 1.0)


class BetaNormalised(Scored, name="beta"):
    """BNPO (arXiv 2506.02864): (r - p) / density(p), where p is the group's success rate and the density that of
    a Beta distribution fitted to the rates of the batch's groups by moments.

    Where all rates are equal there is nothing to fit, and the weight is 1, as it is for a batch of one group.
    """

    cap: float = Field(default=10.0, gt=0)
    """Largest weight. The released 1e6 lets a single group whose rate is near 0 or 1 outweigh all others."""
    fit_equal_rates: bool = False
    """Fit even so, as released: the whole batch's advantages are then NaN."""
    singleton: Singleton = "zero"
    published: ClassVar[Mapping[str, Any]] = {"cap": 1e6, "fit_equal_rates": True, "singleton": "raw"}

    def __call__(self, turns: TurnTable) -> Values:
        """Return w_g (r - p_g) for each turn's trajectory, shape (R,)."""
        success_T, group_T = self.success(turns), turns.group_T
        groups = Samples.of(success_T, group_T)
        alone_G = groups.size_G == 1
        if self.singleton == "raw":  # the released code compares a group of one with 0
            rate_G, counted_G = np.where(alone_G, 0.0, groups.mean_G), np.ones_like(alone_G)
        else:
            rate_G, counted_G = groups.mean_G, ~alone_G
        weight_G = np.where(counted_G, self.weights(rate_G, rate_G[counted_G]), 0.0)
        centred_T = groups.centred(success_T, rate_G, group_T)
        return (weight_G[group_T] * centred_T)[turns.trajectory_R]

    def weights(self, rate_G: Values, fitted_G: Values) -> Values:
        """Return 1 / density of each rate, at most `cap`, with the density fitted to the rates `fitted_G`."""
        equal = not len(fitted_G) or float(np.ptp(fitted_G)) < LEAST_SPREAD
        if equal and not (self.fit_equal_rates and len(fitted_G) > 1):
            return np.ones(len(rate_G))
        if equal:
            return np.full(len(rate_G), math.nan)
        mean, variance = float(fitted_G.mean()), float(fitted_G.var(ddof=1))
        strength = mean * (1 - mean) / variance - 1
        alpha, beta = (max(1.0, 1 + strength * share / 3) for share in (mean, 1 - mean))
        most = math.log(self.cap)
        return np.array([math.exp(min(-_log_beta(rate, alpha, beta), most)) for rate in rate_G.tolist()])


def _log_beta(rate: float, alpha: float, beta: float) -> float:
    """Return the logarithm of the density of Beta(alpha, beta), both at least 1, at a rate."""
    log_norm = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    return log_norm + _times_log(alpha - 1, rate) + _times_log(beta - 1, 1 - rate)


def _times_log(factor: float, value: float) -> float:
    """Return factor x log value, with 0 x log 0 = 0."""
    return factor * (math.log(value) if value > 0 else -math.inf) if factor else 0.0
