"""Did it get better? Two evaluations on the same tasks and seeds, compared task by task."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from agentgym.core.errors import UsageError
from agentgym.core.trace import Outcome
from agentgym.evaluation.report import EpisodeResult, Evaluation, Rate, Record, success_rate
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
    fixed: tuple[str, ...]
    """Tasks solved more often after."""
    broken: tuple[str, ...]
    """Tasks solved less often after."""
    lost_pairs: int
    """Pairs left out because a side has no score."""

    @property
    def verdict(self) -> Verdict:
        """Whether the difference is more than chance."""
        found = self.difference
        if found.p_value >= 1 - LEVEL or found.low <= 0 <= found.high:
            return Verdict.CANNOT_TELL
        return Verdict.BETTER if found.low > 0 else Verdict.WORSE


def compare(before: Evaluation, after: Evaluation) -> Comparison:
    """Compare two evaluations that played the same tasks with the same seeds.

    Raises `UsageError` saying what differs where they did not, or where no pair has two scores.
    """
    _require_same_plan(before, after)
    later = {(result.task_id, result.sample): result for result in after.results}
    every = [_Pair(result, later[result.task_id, result.sample]) for result in before.results]
    pairs = [pair for pair in every if pair.before.outcome.scored and pair.after.outcome.scored]
    if not pairs:
        raise UsageError(
            f"None of the {len(every)} pairs of episodes has a score on both sides; look at the errors of "
            "the episodes and evaluate again."
        )
    changes = _changes(pairs)
    groups = list(dict.fromkeys(pair.before.group for pair in pairs if pair.before.group))
    kinds = sorted({pair.before.task_type for pair in pairs if pair.before.task_type})
    return Comparison(
        before=before.agent,
        after=after.agent,
        before_rate=success_rate(pair.before for pair in pairs),
        after_rate=success_rate(pair.after for pair in pairs),
        difference=_difference(pairs),
        groups={name: _difference([p for p in pairs if p.before.group == name]) for name in groups},
        task_types={name: _difference([p for p in pairs if p.before.task_type == name]) for name in kinds},
        fixed=tuple(task for task, change in changes.items() if change > 0),
        broken=tuple(task for task, change in changes.items() if change < 0),
        lost_pairs=len(every) - len(pairs),
    )


class _Pair(NamedTuple):
    before: EpisodeResult
    after: EpisodeResult

    @property
    def change(self) -> int:
        solved = (self.before.outcome is Outcome.SUCCESS, self.after.outcome is Outcome.SUCCESS)
        return solved[1] - solved[0]


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


def _require_same_plan(before: Evaluation, after: Evaluation) -> None:
    problems = [
        f"{name} {old!r} against {new!r}"
        for name in ("env_id", "suite", "suite_version", "split", "options", "samples", "max_turns")
        if (old := _plain(getattr(before, name))) != (new := _plain(getattr(after, name)))
    ]
    plans = [{(r.task_id, r.sample): r for r in evaluation.results} for evaluation in (before, after)]
    for here, there, side in ((plans[0], plans[1], "before"), (plans[1], plans[0], "after")):
        missing = list(dict.fromkeys(task for task, sample in here if (task, sample) not in there))
        if missing:
            problems.append(f"{_some(missing)} with episodes only {side}")
    both = [(plans[0][key], plans[1][key]) for key in plans[0] if key in plans[1]]
    content = list(dict.fromkeys(old.task_id for old, new in both if old.task_key != new.task_key))
    seeds = list(dict.fromkeys(old.task_id for old, new in both if old.seed != new.seed))
    problems += [f"{_some(content)} with other content"] if content else []
    problems += [f"{_some(seeds)} with other seeds"] if seeds else []
    if problems:
        raise UsageError(
            f"These evaluations cannot be compared: {'; '.join(problems)}. "
            "Evaluate both policies with the same arguments."
        )


def _plain(value: object) -> object:
    return value.value if isinstance(value, StrEnum) else value


def _some(tasks: Sequence[str]) -> str:
    names = ", ".join(tasks[:_NAMED]) + (", ..." if len(tasks) > _NAMED else "")
    return f"{len(tasks)} task{'s' * (len(tasks) != 1)} ({names})"
