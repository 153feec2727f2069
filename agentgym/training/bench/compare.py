"""The recipes of a bench, compared seed by seed with the first.

Legend: K held-out tasks, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentgym.core.quantiles import t_quantile
from agentgym.evaluation.results import Record
from agentgym.evaluation.statistics import LEVEL, Interval, mean_interval
from agentgym.training.bench.measure import Measured

Cells: TypeAlias = NDArray[np.float64]


class Figure(Record):
    """One quantity of one recipe: the mean over seeds, and how far from the first recipe's."""

    mean: float | None
    """Over the seeds that have it; None: no seed has."""
    seeds: int
    """That have it."""
    difference: float | None = None
    """Mean over the seeds that both recipes have, this minus the first; None: there are none."""
    interval: tuple[float, float] | None = None
    """95 % interval of the difference; None for fewer than two seeds to compare."""


class Row(Record):
    """One recipe of the table."""

    recipe: str
    success: Figure
    """On the held-out tasks after training."""
    curve_mean: Figure
    """Success on the `select` tasks, averaged over the tokens of the training."""
    tokens: Figure
    """Sampled until the threshold."""
    seconds: Figure
    """Of playing and learning until the threshold."""
    kl: Figure
    entropy: Figure
    clip_share: Figure
    steps: Figure


def threshold_of(runs: Sequence[Measured]) -> float:
    """Return the success halfway from the warm start to where the first recipe ends, over its seeds."""
    start = np.mean([run.curve[0].success for run in runs])
    end = np.mean([run.curve[-1].success for run in runs])
    return float(start + end) / 2


def table(measured: Mapping[str, Sequence[Measured]], threshold: float) -> list[Row]:
    """Return one row per recipe; the first is what the others are compared with."""
    base = next(iter(measured.values()))
    return [_row(label, runs, base, threshold) for label, runs in measured.items()]


def paired_interval(differences_S: ArrayLike) -> Interval | None:
    """Return the t interval of the mean over seeds of paired differences; None for fewer than two seeds."""
    values_S = np.asarray(differences_S, np.float64)
    if len(values_S) < 2:
        return None
    half = (
        t_quantile((1 + LEVEL) / 2, len(values_S) - 1)
        * float(values_S.std(ddof=1))
        / math.sqrt(len(values_S))
    )
    return Interval(float(values_S.mean()) - half, float(values_S.mean()) + half)


def crossed_interval(difference_SK: Cells) -> Interval:
    """Return the interval of the mean difference in success over S seeds and K tasks, in [-1, 1].

    Both are samples: other seeds would train other policies, other tasks ask something else. The variance
    is the two-way clustered one, that over seeds plus that over tasks minus that of single cells (Cameron,
    Gelbach and Miller 2011), at least the larger of the first two; Student's t with S - 1 degrees of
    freedom. With one seed the interval is over tasks alone, and says nothing about other seeds.
    """
    S, K = difference_SK.shape
    over_tasks_K = difference_SK.mean(0)
    if S == 1:
        return mean_interval(over_tasks_K, Interval(-1.0, 1.0))
    seeds = float(difference_SK.mean(1).var(ddof=1)) / S
    tasks = float(over_tasks_K.var(ddof=1)) / K if K > 1 else 0.0
    cells = float(difference_SK.var(ddof=1)) / (S * K)
    variance = max(seeds + tasks - cells, seeds, tasks)
    half = t_quantile((1 + LEVEL) / 2, S - 1) * math.sqrt(variance)
    mean = float(difference_SK.mean())
    return Interval(max(-1.0, mean - half), min(1.0, mean + half))


def _row(label: str, runs: Sequence[Measured], base: Sequence[Measured], threshold: float) -> Row:
    def figure(of: Callable[[Measured], float | None]) -> Figure:
        return _figure(runs, base, of)

    def tokens(run: Measured) -> float | None:
        return None if (point := run.reached(threshold)) is None else point.tokens

    def seconds(run: Measured) -> float | None:
        return None if (point := run.reached(threshold)) is None else point.seconds

    return Row(
        recipe=label,
        success=_success(runs, base),
        curve_mean=figure(lambda run: run.curve_mean),
        tokens=figure(tokens),
        seconds=figure(seconds),
        kl=figure(lambda run: run.kl),
        entropy=figure(lambda run: run.entropy),
        clip_share=figure(lambda run: run.clip_share),
        steps=figure(lambda run: run.steps),
    )


def _figure(
    runs: Sequence[Measured], base: Sequence[Measured], of: Callable[[Measured], float | None]
) -> Figure:
    own = {run.seed: value for run in runs if (value := of(run)) is not None}
    other = {run.seed: value for run in base if (value := of(run)) is not None}
    mean = float(np.mean(list(own.values()))) if own else None
    paired = [own[seed] - other[seed] for seed in own if seed in other]
    if runs is base or not paired:
        return Figure(mean=mean, seeds=len(own))
    return Figure(
        mean=mean, seeds=len(own), difference=float(np.mean(paired)), interval=paired_interval(paired)
    )


def _success(runs: Sequence[Measured], base: Sequence[Measured]) -> Figure:
    figure = _figure(runs, base, lambda run: run.success)
    if figure.difference is None:
        return figure
    pairs = [
        (run.heldout, other.heldout)
        for run in runs
        for other in base
        if run.seed == other.seed and run.heldout and other.heldout
    ]
    tasks = [task for task in pairs[0][0] if all(task in one and task in two for one, two in pairs)]
    difference_SK = np.array([[one[task] - two[task] for task in tasks] for one, two in pairs])
    return figure.model_copy(
        update={"difference": float(difference_SK.mean()), "interval": tuple(crossed_interval(difference_SK))}
    )
