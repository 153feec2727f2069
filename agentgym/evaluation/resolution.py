"""What a suite can resolve: its number of tasks, and how much results vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agentgym.core.env import EnvSpec
from agentgym.core.errors import UsageError
from agentgym.core.task import Split
from agentgym.core.trace import Outcome
from agentgym.evaluation.compare import paired_changes
from agentgym.evaluation.power import (
    POWER,
    Spread,
    assumed_spread,
    detectable_effect,
    measured_spread,
    spread_of_one,
    tasks_needed,
)
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.results import Record, by_task
from agentgym.evaluation.runner import choose_tasks

_SIZES = (25, 50, 100, 200, 400, 800, 1600)


class Resolution(Record):
    """The answer to "will this many tasks tell?"."""

    env_id: str
    split: Split
    tasks: int
    samples: int
    """Episodes of each task."""
    effect: float
    """The difference asked for; 0.09 is nine points."""
    power: float = POWER
    """How often it is to be found."""
    spread: Spread
    assumed: bool
    """Whether the spread was not measured."""
    detectable: float
    """The smallest difference that the suite's tasks find so often."""
    needed: int
    """Tasks that the effect takes."""
    others: dict[int, float]
    """The smallest difference by number of tasks."""

    @property
    def enough(self) -> bool:
        """Whether the suite can tell the effect."""
        return self.needed <= self.tasks


def resolution(
    spec: EnvSpec,
    split: Split | str,
    effect: float,
    *,
    limit: int | None = None,
    samples: int = 1,
    rate: float = 0.5,
    spread: Spread | None = None,
    options: Mapping[str, Any] | None = None,
) -> Resolution:
    """Return what the tasks of a split can resolve, at most `limit` of each part of it.

    Without a measured `spread` the one policy solves `rate` of the tasks, and the other is independent of it
    (`assumed_spread`). Raises `UsageError` for a suite without tasks.
    """
    parsed = Split.parse(split)
    tasks = len(choose_tasks(spec.suite(**(options or {})).tasks(parsed), limit))
    found = spread or assumed_spread(rate, effect)
    variance = found.of(samples)
    return Resolution(
        env_id=spec.id,
        split=parsed,
        tasks=tasks,
        samples=samples,
        effect=effect,
        spread=found,
        assumed=spread is None,
        detectable=detectable_effect(variance, tasks, samples),
        needed=tasks_needed(effect, variance, samples),
        others={size: detectable_effect(variance, size, samples) for size in _SIZES},
    )


def measured(evaluations: Sequence[Evaluation]) -> Spread:
    """Return the spread that one evaluation suggests, or that two have against each other.

    Raises `UsageError` for more than two, and where they are too few or cannot be paired.
    """
    if len(evaluations) == 1:
        tasks = by_task(evaluations[0].scored).values()
        return spread_of_one([[float(r.outcome is Outcome.SUCCESS) for r in task] for task in tasks])
    if len(evaluations) != 2:
        raise UsageError(f"A spread is measured on one evaluation or two, got {len(evaluations)}.")
    return measured_spread(paired_changes(*evaluations))


def resolution_table(found: Resolution) -> RenderableType:
    """Return the differences that numbers of tasks resolve, and the answer in a sentence."""
    title = f"{found.env_id}, {found.split}: smallest difference found in {found.power:.0%} of cases"
    table = Table()
    table.add_column("tasks", justify="right")
    table.add_column(f"points, {found.samples} episode{'s' * (found.samples != 1)} each", justify="right")
    sizes = {**found.others, found.tasks: found.detectable}
    for size in sorted(sizes):
        style = "bold" if size == found.tasks else None
        table.add_row(f"{size:,}", f"{100 * sizes[size]:.1f}", style=style)
    effect = f"{100 * found.effect:g} points"
    can = "can" if found.enough else "cannot"
    answer = f"{found.tasks:,} tasks {can} tell {effect}: that takes {found.needed:,}."
    told = (
        "measured"
        if not found.assumed
        else "assumed, as of policies that have nothing in common; give an evaluation with --like to measure it"
    )
    return Group(Text(title), table, Text(answer, style="bold"), Text(f"The spread of results was {told}."))
