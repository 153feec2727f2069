"""The lift of an item: how much more reward there is where it is shown than where it is withheld.

The mean reward of the rollouts that were shown an item says how hard the tasks are that it is found for. In an exposure
lottery chance alone decides who is shown it, so that neither the task nor what else is shown can be mistaken for the
item's effect, and the rollouts of a group play the same task, so that its difficulty can be subtracted.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from agentgym.core.errors import ConfigError
from agentgym.core.quantiles import t_quantile
from agentgym.memory.credit.baseline import baselines
from agentgym.memory.credit.evidence import Exposure, Rollout

PRIOR = 50
"""Exposures' worth of doubt: the weight of "it does nothing" beside the evidence."""
CONFIDENCE = 0.9
"""Of two-sided intervals; each bound holds at 95 %."""

Terms: TypeAlias = Mapping[str, Sequence[float]]
"""Unbiased single-exposure estimates of one item's lift, by group."""


class Interval(NamedTuple):
    """Where a lift lies."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Lift:
    """An estimate of a lift, in units of reward."""

    mean: float
    se: float
    """Its standard error; infinite where fewer than two groups speak of the item."""
    n: int
    """Exposures: rollouts that had the item as a candidate, shown or withheld."""
    groups: int
    """Groups that they belong to."""

    def shrunk(self, prior: float = PRIOR) -> Lift:
        """Return the estimate pulled towards 0: mean w·mean, error √w·se, with w = n / (n + prior).

        This is the posterior of a lift N(0, σ²/prior) after n observations of variance σ², se² = σ²/n. The prior is
        at 0 because most of what a model writes does nothing, and because an item's credit should not depend on what
        else is in the memory.
        """
        weight = self.n / (self.n + prior) if self.n else 0.0
        se = math.sqrt(weight) * self.se if weight else math.inf
        return Lift(weight * self.mean, se, self.n, self.groups)

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Return mean ± t·se, with Student's t of as many degrees of freedom as groups, less one."""
        if math.isinf(self.se):
            return Interval(-math.inf, math.inf)
        reach = t_quantile((1 + confidence) / 2, self.groups - 1) * self.se
        return Interval(self.mean - reach, self.mean + reach)


NOTHING_KNOWN = Lift(0.0, math.inf, 0, 0)


def lift_terms(rollouts: Sequence[Rollout]) -> dict[str, dict[str, list[float]]]:
    """Return an estimate of its lift for every exposure, by version and group.

    The term of rollout i, item j shown (z = 1) or withheld (z = 0) with probability p, is

        (r_i - b_i) · (z - p) / (p (1 - p)),

    with b_i what the reward was expected to be (`baselines`). As z is drawn independently of everything else, its
    expectation is E[r | j shown] - E[r | j withheld], whatever the task, the probability and the other items; the
    baseline takes the difficulty out of the variance. With the mean of the group's others for b_i it is
    G/(G-1) · (r_i - group mean) · (z - p) / (p (1 - p)). What was not drawn gives none.
    """
    terms: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for rollout, expected in zip(rollouts, baselines(rollouts), strict=True):
        for exposure in rollout.exposures if expected is not None else ():
            if exposure.drawn:
                term = (rollout.reward - (expected or 0.0)) * propensity_weight(exposure)
                terms[exposure.version][rollout.group].append(term)
    return {version: dict(by_group) for version, by_group in terms.items()}


def propensity_weight(exposure: Exposure) -> float:
    """Return (z - p) / (p (1 - p)): 1/p for what was shown, -1/(1 - p) for what was withheld.

    >>> propensity_weight(Exposure("v", 0.5, True)), propensity_weight(Exposure("v", 0.5, False))
    (2.0, -2.0)
    """
    p = exposure.probability
    return 1 / p if exposure.shown else -1 / (1 - p)


def estimate(terms: Terms) -> Lift:
    """Return the mean of the terms with its error clustered by group.

    se² = K/(K-1) · Σ_g (Σ_i (term_gi - mean))² / n² over K groups (the sandwich estimator of a mean; Cameron and
    Miller 2015, equation 11): the terms of a group share a task, and so are not independent.
    """
    n, groups = sum(map(len, terms.values())), len(terms)
    if not n:
        return NOTHING_KNOWN
    mean = math.fsum(term for group in terms.values() for term in group) / n
    if groups < 2:
        return Lift(mean, math.inf, n, groups)
    square = math.fsum((math.fsum(group) - len(group) * mean) ** 2 for group in terms.values())
    return Lift(mean, math.sqrt(groups / (groups - 1) * square) / n, n, groups)


def lifts(rollouts: Sequence[Rollout]) -> dict[str, Lift]:
    """Return the lift of every item that chance has decided about, not shrunk."""
    return {version: estimate(terms) for version, terms in lift_terms(rollouts).items()}


def check_prior(prior: float) -> None:
    """Raise `ConfigError` for a prior that is worth less than nothing."""
    if not prior >= 0 or math.isinf(prior):
        raise ConfigError(f"A prior is worth a number of exposures, 0 or more; got {prior!r}.")
