"""What a run's success is owed to: weights, memory, skills and tools, each on and off, in every combination.

A full factorial experiment on the same tasks and seeds. With n components and y the success rate of a task, the effect
of a set S of them is

    (1 / 2^(n - |S|)) · Σ over the 2^n combinations of  y · Π over S of (+1 where the component is on, else -1).

For one component that is its success on, less off, averaged over what else is on (the main effect); for two, how much
more the one brings where the other is on than where it is off, averaged over the rest; and so on (Fisher 1935; Box,
Hunter and Hunter 2005, chapter 5, who divide interactions by another 2^(|S| - 1)). Each task gives one value of each
effect, and the intervals are over tasks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.core.errors import UsageError
from agentgym.core.trace import Outcome
from agentgym.evaluation.rates import Rate, success_rate
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.results import EpisodeResult, Record
from agentgym.evaluation.statistics import Interval, Values, mean_interval, sign_flip_p_value, standard_error

FORMAT = "agentgym-attribution-1"


class Component(StrEnum):
    """What a run may have learned."""

    WEIGHTS = "weights"
    """Off: the model that reinforcement began with."""
    MEMORY = "memory"
    """Cases, principles, workflows and laws; off: none is shown. So it is with the next two."""
    SKILLS = "skills"
    TOOLS = "tools"


Combination = tuple[Component, ...]
"""The components that are on, in the order of `Component`."""


class Cell(Record):
    """What came of one combination, over the episodes that all combinations have a score for."""

    on: Combination
    rate: Rate


class Effect(Record):
    """What a component brings, or several bring together beyond what they bring apart; 0.1 is ten points."""

    of: Combination
    estimate: float
    low: float
    """95 % interval over tasks (`mean_interval`)."""
    high: float
    standard_error: float | None
    """Null for a single task."""
    p_value: float
    """Two-sided, by sign flips of the tasks' values."""

    @property
    def name(self) -> str:
        """Such as `weights` or `weights x memory`."""
        return " x ".join(self.of)


class Attribution(Record):
    """The whole experiment."""

    run: str
    env_id: str
    iteration: int
    """Of the checkpoint whose weights and memory are tried."""
    snapshot: str
    """Of the memory; empty: none."""
    lacking: dict[Component, str]
    """The components that the run does not have, and why not."""
    cells: tuple[Cell, ...]
    effects: tuple[Effect, ...]
    """Of one component first, then of two, and so on."""
    tasks: int
    lost: int
    """Episodes left out because some combination has no score for them."""

    def to_data(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"format": FORMAT, **self.model_dump(mode="json")}

    def save(self, path: Path) -> None:
        """Write it to a JSON file."""
        path.write_text(self.model_dump_json(indent=1) + "\n", "utf-8")


def every_combination(present: Collection[Component]) -> list[Combination]:
    """Return all combinations of the components that are present, those with fewer on first."""
    return list(_subsets([component for component in Component if component in present]))


def named(on: Combination) -> str:
    """Return a combination as a name for listings and files.

    >>> named((Component.WEIGHTS, Component.MEMORY)), named(())
    ('weights+memory', 'nothing')
    """
    return "+".join(on) or "nothing"


def attributed(
    evaluations: Mapping[Combination, Evaluation], present: Collection[Component]
) -> tuple[tuple[Cell, ...], tuple[Effect, ...], int]:
    """Return cells and effects of a complete experiment, and how many episodes had to be left out.

    Raises `UsageError` where no episode has a score in every combination.
    """
    scored = {on: _scored(evaluation) for on, evaluation in evaluations.items()}
    first, *others = scored.values()
    everywhere = set(first).intersection(*others)
    planned = {(result.task_id, result.sample) for each in evaluations.values() for result in each.results}
    if not everywhere:
        raise UsageError(
            "No episode has a score in every combination, so nothing can be told apart; see the errors of the "
            "episodes, and go on with `--resume`."
        )
    tasks = sorted({task for task, _ in everywhere})
    cells = tuple(
        Cell(on=on, rate=success_rate(results[key] for key in sorted(everywhere)))
        for on, results in scored.items()
    )
    rates = {on: _rates(results, everywhere, tasks) for on, results in scored.items()}
    effects = tuple(_effect(of, rates, len(present)) for of in every_combination(present) if of)
    return cells, effects, len(planned) - len(everywhere)


def _effect(of: Combination, rates: Mapping[Combination, Values], components: int) -> Effect:
    values_K: Values = sum(
        (values_K * (-1.0) ** sum(component not in on for component in of) for on, values_K in rates.items()),
        np.zeros(()),
    ) / 2.0 ** (components - len(of))
    reach = 2.0 ** (len(of) - 1)
    low, high = mean_interval(values_K, Interval(-reach, reach))
    return Effect(
        of=of,
        estimate=float(values_K.mean()),
        low=low,
        high=high,
        standard_error=standard_error(values_K) if len(values_K) > 1 else None,
        p_value=sign_flip_p_value(values_K),
    )


def _scored(evaluation: Evaluation) -> dict[tuple[str, int], EpisodeResult]:
    return {(result.task_id, result.sample): result for result in evaluation.scored}


def _rates(
    results: Mapping[tuple[str, int], EpisodeResult], keys: Collection[tuple[str, int]], tasks: Sequence[str]
) -> Values:
    """Return the success rate of each task, shape (K,)."""
    solved: dict[str, list[bool]] = {task: [] for task in tasks}
    for task, sample in keys:
        solved[task].append(results[task, sample].outcome is Outcome.SUCCESS)
    return np.array([np.mean(solved[task]) for task in tasks], np.float64)


def _subsets(components: Sequence[Component]) -> Iterator[Combination]:
    for size in range(len(components) + 1):
        yield from combinations(components, size)
