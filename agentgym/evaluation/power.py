"""What a paired comparison can resolve, told before it is played.

The difference of two policies' success over K tasks has the standard error sqrt(spread / K), with

    spread = between + within / k

for k samples of each task: `between` is the variance over tasks of the difference of the two true rates, `within` the
variance of one pair's difference around its task's (Miller 2024, "Adding Error Bars to Evals", equation 9). An effect d
is found with probability `power`, by a two-sided t test, from about

    K = (t(1 - alpha / 2; K - 1) + t(power; K - 1))^2 spread / d^2

tasks on, Student's t in place of the normal for small K. However little results varied where there was no effect, one of d
changes at least the share d of the pairs, and fewer than six changed tasks never come to p < 0.05: no effect is found that
changes so many too seldom. Pure functions; rates and effects in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.core.errors import UsageError
from agentgym.core.quantiles import incomplete_beta, t_quantile
from agentgym.evaluation.statistics import LEVEL

POWER = 0.8
"""How often an effect of the size asked for is to be found."""

LEAST_TASKS = 6
"""The sign flips of fewer tasks never come to p < 0.05."""


class Spread(NamedTuple):
    """Variances of the paired difference."""

    between: float
    """Over tasks, of the difference of the true rates: no number of samples lessens it."""
    within: float
    """Of one pair of samples of a task."""

    def of(self, samples: int) -> float:
        """Return the variance of a task's mean difference over so many samples."""
        return self.between + self.within / samples


def detectable_effect(
    spread: float, tasks: int, samples: float = 1, power: float = POWER, level: float = LEVEL
) -> float:
    """Return the smallest difference that so many tasks find with probability `power`; at most 1.

    `spread` is the variance of a task's mean difference over so many samples. 1 for fewer than `LEAST_TASKS` tasks.
    """
    _check(power, level)
    if spread < 0 or tasks < 1:
        raise UsageError(f"Power needs a spread of at least 0 and at least 1 task, got {spread} and {tasks}.")
    if tasks < LEAST_TASKS:
        return 1.0
    reach = t_quantile((1 + level) / 2, tasks - 1) + t_quantile(power, tasks - 1)
    changed = 1 - (1 - _share_to_change(tasks, power)) ** (1 / samples)
    return min(1.0, max(reach * math.sqrt(spread / tasks), changed))


def tasks_needed(
    effect: float, spread: float, samples: float = 1, power: float = POWER, level: float = LEVEL
) -> int:
    """Return the fewest tasks that find a difference of `effect` with probability `power`; see `detectable_effect`.

    Raises `UsageError` unless 0 < effect <= 1.
    """
    if not 0 < effect <= 1:
        raise UsageError(
            f"An effect lies above 0 and is at most 1 (100 points), got {effect}; the smaller it is, the more tasks."
        )

    def finds(tasks: int) -> bool:
        return detectable_effect(spread, tasks, samples, power, level) <= effect

    high = LEAST_TASKS
    while not finds(high):
        high *= 2
    low = max(LEAST_TASKS - 1, high // 2)  # not enough, or too few for anything
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(middle) else (middle, high)
    return high


def assumed_spread(rate: float, effect: float) -> Spread:
    """Return the spread where nothing was measured: one policy solves `rate` of the tasks, the other `effect` more.

    They solve tasks independently of each other, and each task always or never: what more samples bring, and what
    pairing does, is to be measured.
    """
    if not 0 <= rate <= 1:
        raise UsageError(f"A success rate lies in [0, 1], got {rate}.")
    other = min(1.0, rate + effect)
    return Spread(rate * (1 - rate) + other * (1 - other), 0.0)


def measured_spread(differences: Sequence[Sequence[float]]) -> Spread:
    """Return the spread of measured differences, one sequence for each task.

    By analysis of variance: `within` is pooled over the tasks with several pairs, and taken from the variance of the
    tasks' means as far as it made them vary. Where no task has several, all is `between`. Raises `UsageError` for
    fewer than two tasks.
    """
    tasks = [np.asarray(task, np.float64) for task in differences if len(task)]
    if len(tasks) < 2:
        raise UsageError(f"A spread needs at least two tasks with results, got {len(tasks)}.")
    between = float(np.var([task.mean() for task in tasks], ddof=1))
    free = sum(len(task) - 1 for task in tasks)
    if not free:
        return Spread(between, 0.0)
    within = sum(_square_sum(task) for task in tasks) / free
    share = float(np.mean([1 / len(task) for task in tasks]))
    return Spread(max(0.0, between - share * within), within)


def spread_of_one(rates: Sequence[Sequence[float]]) -> Spread:
    """Return the spread against an equally variable policy that solves other tasks, from one policy's samples.

    Each task's samples are 0 or 1; twice the policy's own variances. Two checkpoints of one run mostly solve the same
    tasks, and then need fewer: measure both (`measured_spread`).
    """
    own = measured_spread(rates)
    return Spread(2 * own.between, 2 * own.within)


@cache
def _share_to_change(tasks: int, power: float) -> float:
    """Return the probability with which each task has to change, so that `LEAST_TASKS` do with probability `power`.

    By bisection of the binomial tail P(X >= m) = I(share; m, tasks - m + 1) (Abramowitz and Stegun, 26.5.24).
    """
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        enough = incomplete_beta(middle, LEAST_TASKS, tasks - LEAST_TASKS + 1) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _square_sum(values: NDArray[np.float64]) -> float:
    return float(((values - values.mean()) ** 2).sum())


def _check(power: float, level: float) -> None:
    if not 0.5 <= power < 1 or not 0 < level < 1:
        raise UsageError(f"Power lies in [0.5, 1) and the level in (0, 1), got {power} and {level}.")
