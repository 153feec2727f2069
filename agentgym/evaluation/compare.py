"""Did it get better? Two evaluations on the same tasks and seeds, compared task by task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from agentgym.core.errors import UsageError
from agentgym.core.trace import Outcome
from agentgym.evaluation.power import detectable_effect, tasks_needed
from agentgym.evaluation.rates import Rate, success_rate
from agentgym.evaluation.report import By, Evaluation
from agentgym.evaluation.results import EpisodeResult, Record
from agentgym.evaluation.statistics import (
    LEVEL,
    Interval,
    Values,
    bootstrap_interval,
    mean_interval,
    sign_flip_p_value,
    standard_error,
)

_BOUNDS = Interval(-1.0, 1.0)
_NAMED = 3
"""Most tasks named in a message."""


class Verdict(StrEnum):
    """What a comparison allows to say."""

    BETTER = "better"
    """The interval of the difference lies above 0, and the p-value below 0.05."""
    WORSE = "worse"
    """The interval lies below 0, and the p-value below 0.05."""
    CANNOT_TELL = "cannot tell"
    """Anything else: more tasks or samples may tell."""


class Difference(Record):
    """How much higher the success rate is after than before, over the tasks that both played."""

    estimate: float
    """Mean over tasks of the difference between their rates; 0.1 is ten points."""
    low: float
    """95 % interval, clustered by task (`mean_interval`)."""
    high: float
    standard_error: float | None
    """Null for a single task."""
    bootstrap: Interval
    """95 % interval by resampling of tasks."""
    p_value: float
    """Two-sided, by sign flips of the tasks' differences."""
    tasks: int
    pairs: int
    """Episodes of the same task and seed with a score on both sides."""

    @property
    def spread(self) -> float | None:
        """Variance of a task's difference; None for a single task."""
        return None if self.standard_error is None else self.standard_error**2 * self.tasks

    @property
    def samples(self) -> float:
        """Pairs of a task, on average."""
        return self.pairs / self.tasks


class Comparison(Record):
    """Two evaluations on the same tasks and seeds. The verdict is on all tasks; the parts explain it."""

    before: str
    """The agent's name."""
    after: str
    before_rate: Rate
    """Over the pairs."""
    after_rate: Rate
    difference: Difference
    groups: dict[str, Difference]
    task_types: dict[str, Difference]
    difficulties: dict[str, Difference]
    fixed: tuple[str, ...]
    """Tasks solved more often after."""
    broken: tuple[str, ...]
    """Tasks solved less often after."""
    lost_pairs: int
    """Pairs left out because a side has no score."""
    unpaired: int = 0
    """Episodes left out because the other side did not play them."""

    def to_data(self) -> dict[str, Any]:
        """Return the comparison, with what follows from it, as JSON data."""
        derived = {
            "verdict": self.verdict.value,
            "detectable": self.detectable,
            "tasks_to_tell": self.tasks_to_tell,
        }
        return {**self.model_dump(mode="json"), **derived}

    @property
    def verdict(self) -> Verdict:
        """Whether the difference is more than chance."""
        found = self.difference
        return _verdict(found.low, found.high, lambda: found.p_value)

    @property
    def detectable(self) -> float | None:
        """The difference that so many tasks like these find in four of five cases; None for a single task."""
        found = self.difference
        return None if found.spread is None else detectable_effect(found.spread, found.tasks, found.samples)

    @property
    def tasks_to_tell(self) -> int | None:
        """How many tasks like these would tell in four of five cases, if the difference is as it was found.

        None where no difference was found, or its spread is not known.
        """
        found = self.difference
        if found.spread is None or abs(found.estimate) < 1e-9:
            return None
        return tasks_needed(abs(found.estimate), found.spread, found.samples)


def compare(before: Evaluation, after: Evaluation) -> Comparison:
    """Compare two evaluations that played the same tasks with the same seeds.

    What only one of them played is left out and counted. Raises `UsageError` saying what differs where they were
    played under different conditions, where they have no task in common, or where no pair has two scores.
    """
    every = _paired(before, after)
    pairs = [pair for pair in every if pair.before.outcome.scored and pair.after.outcome.scored]
    if not pairs:
        raise UsageError(
            f"None of the {len(every)} pairs of episodes has a score on both sides; look at the errors of "
            "the episodes and evaluate again."
        )
    changes = _changes(pairs)
    return Comparison(
        before=before.agent,
        after=after.agent,
        before_rate=success_rate(pair.before for pair in pairs),
        after_rate=success_rate(pair.after for pair in pairs),
        difference=_difference(pairs),
        groups=_parts(pairs, before, "group"),
        task_types=_parts(pairs, before, "task_type"),
        difficulties=_parts(pairs, before, "difficulty"),
        fixed=tuple(task for task, change in changes.items() if change > 0),
        broken=tuple(task for task, change in changes.items() if change < 0),
        lost_pairs=len(every) - len(pairs),
        unpaired=len(before.results) + len(after.results) - 2 * len(every),
    )


def verdict(before: Evaluation, after: Evaluation) -> Verdict:
    """Return the verdict of `compare` and nothing else, in a fraction of the time; raises `UsageError` as it does."""
    changes = paired_changes(before, after)
    if not changes:
        raise UsageError("No pair of episodes has a score on both sides.")
    values_K: Values = np.array([float(np.mean(task)) for task in changes])
    return _verdict(*mean_interval(values_K, _BOUNDS), lambda: sign_flip_p_value(values_K))


def paired_changes(before: Evaluation, after: Evaluation) -> list[list[float]]:
    """Return the changes from 0 or 1 to 0 or 1 of every pair with two scores, task by task; raises as `compare`."""
    tasks: dict[str, list[float]] = {}
    for pair in _paired(before, after):
        if pair.before.outcome.scored and pair.after.outcome.scored:
            tasks.setdefault(pair.before.task_id, []).append(float(pair.change))
    return list(tasks.values())


def _verdict(low: float, high: float, p_value: Callable[[], float]) -> Verdict:
    if low <= 0 <= high or p_value() >= 1 - LEVEL:
        return Verdict.CANNOT_TELL
    return Verdict.BETTER if low > 0 else Verdict.WORSE


class _Pair(NamedTuple):
    before: EpisodeResult
    after: EpisodeResult

    @property
    def change(self) -> int:
        solved = (self.before.outcome is Outcome.SUCCESS, self.after.outcome is Outcome.SUCCESS)
        return solved[1] - solved[0]


def _paired(before: Evaluation, after: Evaluation) -> list[_Pair]:
    """Return the episodes that both played; raises `UsageError` where conditions, contents or seeds differ."""
    problems = [
        f"{name} {old!r} against {new!r}"
        for name in (
            "env_id",
            "suite",
            "suite_version",
            "split",
            "options",
            "max_turns",
            "token_limit",
            "time_limit",
        )
        if (old := _plain(getattr(before, name))) != (new := _plain(getattr(after, name)))
    ]
    later = {(result.task_id, result.sample): result for result in after.results}
    both = [
        _Pair(result, other)
        for result in before.results
        if (other := later.get((result.task_id, result.sample))) is not None
    ]
    content = list(dict.fromkeys(old.task_id for old, new in both if old.task_key != new.task_key))
    seeds = list(dict.fromkeys(old.task_id for old, new in both if old.seed != new.seed))
    problems += [f"{_some(content)} with other content"] if content else []
    problems += [f"{_some(seeds)} with other seeds"] if seeds else []
    if not both and not problems:
        sides = [_some(list(dict.fromkeys(r.task_id for r in side.results))) for side in (before, after)]
        problems = [f"they have no task in common: {sides[0]} against {sides[1]}"]
    if problems:
        raise UsageError(
            f"These evaluations cannot be compared: {'; '.join(problems)}. "
            "Evaluate both policies with the same arguments."
        )
    return both


def _parts(pairs: Sequence[_Pair], evaluation: Evaluation, by: By) -> dict[str, Difference]:
    parts = {
        name: [p for p in pairs if getattr(p.before, by) == name]
        for name in dict.fromkeys(evaluation.parts(by))
    }
    return {name: _difference(part) for name, part in parts.items() if part}


def _changes(pairs: Sequence[_Pair]) -> dict[str, float]:
    """Return the mean change of each task."""
    tasks: dict[str, list[int]] = {}
    for pair in pairs:
        tasks.setdefault(pair.before.task_id, []).append(pair.change)
    return {task: float(np.mean(changes)) for task, changes in tasks.items()}


def _difference(pairs: Sequence[_Pair]) -> Difference:
    values_K: Values = np.array(list(_changes(pairs).values()))
    low, high = mean_interval(values_K, _BOUNDS)
    return Difference(
        estimate=float(values_K.mean()),
        low=low,
        high=high,
        standard_error=standard_error(values_K) if len(values_K) > 1 else None,
        bootstrap=bootstrap_interval(values_K),
        p_value=sign_flip_p_value(values_K),
        tasks=len(values_K),
        pairs=len(pairs),
    )


def _plain(value: object) -> object:
    return value.value if isinstance(value, StrEnum) else value


def _some(tasks: Sequence[str]) -> str:
    names = ", ".join(tasks[:_NAMED]) + (", ..." if len(tasks) > _NAMED else "")
    return f"{len(tasks)} task{'s' * (len(tasks) != 1)} ({names})"
