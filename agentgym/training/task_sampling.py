"""Task sampling: which tasks an iteration plays."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from agentgym.core.task import Task
from agentgym.training.parts import Part


class TaskSampling(Part, kind="sampling"):
    """Which tasks an iteration plays. A function of seed and iteration alone, so resuming is exact."""

    @abstractmethod
    def draw(self, tasks: Sequence[Task], count: int, iteration: int, seed: int) -> list[Task]:
        """Return `count` tasks for an iteration (counted from 0)."""


class Uniform(TaskSampling, name="uniform"):
    """Every task once, in shuffled order, before any comes again."""

    def draw(self, tasks: Sequence[Task], count: int, iteration: int, seed: int) -> list[Task]:
        """Return the next `count` tasks of the shuffled order; each pass shuffles anew."""
        first, last = iteration * count, (iteration + 1) * count - 1
        epochs = range(first // len(tasks), last // len(tasks) + 1)
        order = np.concatenate(
            [np.random.default_rng([seed, epoch]).permutation(len(tasks)) for epoch in epochs]
        )
        start = first - epochs.start * len(tasks)
        return [tasks[int(index)] for index in order[start : start + count]]
