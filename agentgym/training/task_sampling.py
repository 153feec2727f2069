"""Task sampling: which tasks an iteration plays, and which of the groups it learns from.

What a sampling has to remember is in its `memory`, which checkpoints hold, so that resuming is exact.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from math import ceil
from typing import ClassVar, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.core.task import Task
from agentgym.core.trace import Episode
from agentgym.training.parts import Part

Item = TypeVar("Item")

Priority: TypeAlias = Callable[[str], float]
"""How much the task with this id is worth playing, above 0."""


class TaskSampling(Part, kind="sampling"):
    """Which tasks an iteration plays."""

    compares_outcomes: ClassVar[bool] = False
    """Whether it drops groups by comparing their members, so that a group needs two."""

    @property
    def most_rounds(self) -> int:
        """How often an iteration may draw until its batch is full."""
        return 1

    @abstractmethod
    def draw(
        self,
        tasks: Sequence[Task],
        count: int,
        iteration: int,
        seed: int,
        priority: Priority | None = None,
    ) -> list[Task]:
        """Return the next tasks to play for an iteration (from 0) that wants `count` groups to learn from.

        `priority` is that of an advantage that tracks tasks, where the recipe has one.
        """

    def keeps(self, group: Sequence[Episode]) -> bool:
        """Return whether the scored members of a group are learned from."""
        return True

    def take_in(self, group: Sequence[Episode]) -> None:
        """Hear how the scored episodes that the policy played of a task ended."""


class Uniform(TaskSampling, name="uniform"):
    """Every task once, in shuffled order, before any comes again."""

    def draw(
        self, tasks: Sequence[Task], count: int, iteration: int, seed: int, priority: Priority | None = None
    ) -> list[Task]:
        """Return the next `count` tasks of the shuffled order; each pass shuffles anew."""
        return shuffled(tasks, iteration * count, count, seed)


class Dynamic(TaskSampling, name="dynamic"):
    """DAPO's dynamic sampling (arXiv 2503.14476, section 3.2): groups that all succeed or all fail are dropped,
    and more are played until the batch is full or `rounds` are over.

    Success decides, not the shaped reward. A batch that is not full then is learned from as it is.
    """

    rounds: int = Field(default=10, ge=1)
    oversampling: float = Field(default=1.0, ge=1)
    """Groups played in a round, as a multiple of the batch; groups beyond a full batch are dropped too. The
    released scripts play 3."""
    remembers = True
    compares_outcomes = True
    published = {"oversampling": 3.0}  # noqa: RUF012 - as `Part` declares it

    @property
    def most_rounds(self) -> int:
        """Return `rounds`."""
        return self.rounds

    def draw(
        self, tasks: Sequence[Task], count: int, iteration: int, seed: int, priority: Priority | None = None
    ) -> list[Task]:
        """Return the tasks after those drawn before, of the order that `uniform` has."""
        drawn: int = self.memory.get("drawn", 0)
        wanted = ceil(count * self.oversampling)
        self.memory["drawn"] = drawn + wanted
        return shuffled(tasks, drawn, wanted, seed)

    def keeps(self, group: Sequence[Episode]) -> bool:
        """Return whether some members succeeded and some did not; a lone one is kept, as in the released code."""
        return len(group) == 1 or len({episode.success for episode in group}) == 2


class Prioritised(TaskSampling, name="prioritised"):
    """SPO's weighted draw (arXiv 2509.13232): a task with success rate p weighs sqrt(p (1 - p)) + `floor`.

    The rates are those of the advantage, where it tracks tasks; else they are counted here, from a prior of half
    a success and half a failure.
    """

    floor: float = Field(default=0.05, gt=0)
    forget: float = Field(default=0.9, gt=0, le=1)
    """Factor on what was counted before, each time a task is played."""
    remembers = True

    def draw(
        self, tasks: Sequence[Task], count: int, iteration: int, seed: int, priority: Priority | None = None
    ) -> list[Task]:
        """Return `count` tasks drawn by weight; none comes twice before all have come."""
        random = np.random.default_rng([seed, iteration])
        weight = self._weights(len(tasks), priority)
        order: list[int] = []
        while len(order) < count:
            part = min(count - len(order), len(tasks))
            order += random.choice(len(tasks), part, replace=False, p=weight / weight.sum()).tolist()
        for index in order:
            self._known.setdefault(tasks[index].id, [index, 0.5, 0.5])
        return [tasks[index] for index in order]

    def take_in(self, group: Sequence[Episode]) -> None:
        """Count successes and failures, unless the task was never drawn here."""
        known = self._known.get(group[0].task.id) if group else None
        if known is not None:
            won = sum(episode.success for episode in group)
            known[1] = self.forget * known[1] + won
            known[2] = self.forget * known[2] + len(group) - won

    @property
    def _known(self) -> dict[str, list[float]]:
        """By task id: its index, and the discounted counts of successes and failures, prior included."""
        return self.memory.setdefault("tasks", {})

    def _weights(self, count: int, priority: Priority | None) -> NDArray[np.float64]:
        weight = np.full(count, 0.5 + self.floor)
        for task, (index, won, lost) in self._known.items():
            rate = won / (won + lost)
            own = np.sqrt(rate * (1 - rate)) + self.floor
            weight[int(index)] = own if priority is None else priority(task)
        return weight


def shuffled(items: Sequence[Item], first: int, count: int, seed: int) -> list[Item]:
    """Return items `first` to `first + count` of an endless order: all items, shuffled anew for each pass."""
    epochs = range(first // len(items), (first + count - 1) // len(items) + 1)
    order = np.concatenate([np.random.default_rng([seed, epoch]).permutation(len(items)) for epoch in epochs])
    start = first - epochs.start * len(items)
    return [items[int(index)] for index in order[start : start + count]]
