"""Success as figures with intervals: the plain rate, and what several samples of a task tell.

Given scored episodes the figures are *effective*: those that a fault of the infrastructure ended are in neither
numerator nor denominator. Given all episodes such ones count as unsolved: what a user saw, and a lower bound of what the
agent can do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from agentgym.core.errors import UsageError
from agentgym.evaluation.results import EpisodeResult, Record, by_task, successes
from agentgym.evaluation.statistics import (
    Interval,
    Values,
    bootstrap_interval,
    pass_at_k,
    pass_hat_k,
    rate_interval,
    standard_error,
)


class Figure(Record):
    """A mean over tasks of values in [0, 1]: see `agentgym.evaluation.statistics` for the formulas."""

    estimate: float
    low: float
    """95 % interval, clustered by task (`rate_interval`)."""
    high: float
    standard_error: float | None
    """Null for a single task."""
    bootstrap: Interval
    """95 % interval by resampling of tasks."""
    tasks: int


class Rate(Figure):
    """A success rate: the mean over tasks of the share of their episodes that succeeded."""

    episodes: int


class PassRates(Record):
    """What comes of k samples of a task, over the tasks with at least k episodes."""

    k: int
    pass_at_k: Figure
    """At least one succeeds."""
    pass_hat_k: Figure
    """Each succeeds: pass^k."""
    avg_at_k: Figure
    """The share that succeeds."""


def success_rate(results: Iterable[EpisodeResult]) -> Rate:
    """Return the success rate of episodes; raises `UsageError` when there are none."""
    tasks = list(by_task(results).values())
    if not tasks:
        raise UsageError(
            "No episode has a score, so there is no success rate; see the errors of the episodes."
        )
    episodes = sum(map(len, tasks))
    found = _figure([successes(task) / len(task) for task in tasks], episodes)
    return Rate(**found.model_dump(), episodes=episodes)


def pass_rates(results: Iterable[EpisodeResult], k: int) -> PassRates:
    """Return the unbiased estimates for k samples of a task; raises `UsageError` where no task has k episodes."""
    tasks = [(len(task), successes(task)) for task in by_task(results).values()]
    enough = [(n, c) for n, c in tasks if n >= k]
    if k < 1 or not enough:
        most = max((n for n, _ in tasks), default=0)
        raise UsageError(
            f"pass@{k} needs tasks with at least {max(k, 1)} episodes, and the most here is {most}; "
            f"evaluate with --epochs {max(k, 1)}, or ask for a smaller k."
        )
    episodes = sum(n for n, _ in enough)
    return PassRates(
        k=k,
        pass_at_k=_figure([pass_at_k(n, c, k) for n, c in enough], episodes),
        pass_hat_k=_figure([pass_hat_k(n, c, k) for n, c in enough], episodes),
        avg_at_k=_figure([c / n for n, c in enough], episodes),
    )


def _figure(values: Sequence[float], episodes: int) -> Figure:
    values_K: Values = np.array(values)
    low, high = rate_interval(values_K, episodes)
    return Figure(
        estimate=float(values_K.mean()),
        low=low,
        high=high,
        standard_error=standard_error(values_K) if len(values_K) > 1 else None,
        bootstrap=bootstrap_interval(values_K),
        tasks=len(values_K),
    )
