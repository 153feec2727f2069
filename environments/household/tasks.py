"""The household suite: which tasks there are, and in which split each belongs."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

from agentgym.core.errors import TaskError, UnknownNameError, did_you_mean
from agentgym.core.task import Split, Task
from agentgym.environments.household.errands import choices, goal_params
from agentgym.environments.household.generator import build_world
from agentgym.environments.household.layouts import Difficulty
from agentgym.environments.household.world import TaskType, World

ENV_ID = "agentgym/Household-v0"
VERSION = "1"
SEEN, UNSEEN = "seen", "unseen"

TASKS_PER_CELL: dict[Split, int] = {Split.TRAIN: 2000, Split.SELECT: 100, Split.HELDOUT: 100}
"""Tasks of each kind, difficulty and (held-out only) group; so all of these are equally frequent."""

_WORLDS_KEPT = 1024


@dataclass(frozen=True, slots=True)
class _Cell:
    """Tasks that differ only in their number: one kind, difficulty and part of a split."""

    split: Split
    group: str
    difficulty: Difficulty
    task_type: TaskType

    def task_id(self, number: int) -> str:
        parts = [self.split.value, self.group, self.difficulty.value, self.task_type.name.lower()]
        return "-".join([*filter(None, parts), f"{number:04d}"])

    def task(self, number: int) -> Task:
        """Make the task of a number: draw its layout, goal and the seed of its world."""
        name = self.task_id(number)
        rng = random.Random(f"household {VERSION}: {name}")
        layout, goals = rng.choice(choices(self.task_type, self.difficulty, self.group == UNSEEN))
        params = goal_params(rng.choice(goals))
        return Task(
            id=name,
            env_id=ENV_ID,
            split=self.split,
            params={**params, "layout": layout.name, "world_seed": rng.getrandbits(48)},
            difficulty=self.difficulty.value,
            group=self.group,
        )


class HouseholdTasks(Sequence[Task]):
    """The tasks of one split, made when asked for. Kinds, difficulties and groups take turns.

    So any first part of the sequence has (nearly) as many of each.
    """

    def __init__(
        self, split: Split, difficulties: Sequence[Difficulty], task_types: Sequence[TaskType]
    ) -> None:
        groups = (SEEN, UNSEEN) if split is Split.HELDOUT else ("",)
        self._cells = [
            _Cell(split, group, difficulty, task_type)
            for difficulty in difficulties
            for task_type in task_types
            for group in groups
        ]
        self._cell_of_prefix = {cell.task_id(0)[:-4]: cell for cell in self._cells}
        self._per_cell = TASKS_PER_CELL[split]

    def __len__(self) -> int:
        return self._per_cell * len(self._cells)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        number, cell = divmod(position, len(self._cells))
        return self._cells[cell].task(number)

    def find(self, task_id: str) -> Task | None:
        """Return the task with this id, or None where the sequence has no such task."""
        prefix, number = task_id[:-4], task_id[-4:]
        cell = self._cell_of_prefix.get(prefix)
        if cell is None or not (number.isascii() and number.isdigit()) or int(number) >= self._per_cell:
            return None
        return cell.task(int(number))

    def similar_ids(self, task_id: str) -> list[str]:
        """Return ids that exist and end like `task_id`, as candidates for what was meant."""
        number = task_id[-4:]
        known = number if number.isascii() and number.isdigit() and int(number) < self._per_cell else "0000"
        return [prefix + known for prefix in self._cell_of_prefix]


class HouseholdSuite:
    """Tasks of the household world, generated; see the world's README for what they are.

    `difficulty` is `easy`, `medium` or `hard`; `task_types` are values of `TaskType` or their short names
    (`place`, `clean`, `heat`, `cool`, `look`, `place_two`). None takes all. Raises `UnknownNameError`.
    """

    name = "household"
    version = VERSION
    env_id = ENV_ID
    heldout_differs = (
        "Half of the held-out tasks (group `seen`) are new games in rooms that train knows; the other half "
        "(`unseen`) play in rooms and ask for object-receptacle pairs that train and select never show."
    )

    def __init__(self, difficulty: str | None = None, task_types: Iterable[str] | None = None) -> None:
        self.difficulties = tuple(Difficulty) if difficulty is None else (_difficulty(difficulty),)
        self.task_types = tuple(TaskType) if task_types is None else _task_types(task_types)
        self._tasks = {split: HouseholdTasks(split, self.difficulties, self.task_types) for split in Split}
        self._worlds: OrderedDict[tuple[Split, str], World] = OrderedDict()

    def tasks(self, split: Split | str) -> HouseholdTasks:
        """Return the tasks of a split, in a fixed order that mixes kinds and difficulties."""
        return self._tasks[Split.parse(split)]

    def task(self, task_id: str) -> Task:
        """Return the task with this id, of any split; raises `TaskError` with a suggestion."""
        for tasks in self._tasks.values():
            found = tasks.find(task_id)
            if found is not None:
                return found
        similar = [each for tasks in self._tasks.values() for each in tasks.similar_ids(task_id)]
        raise TaskError(
            f"Unknown task {task_id!r} of suite {self.name!r}.{did_you_mean(task_id, similar)} "
            f"Ids look like {similar[0]!r}; list them with `suite.tasks(split)`."
        )

    def world(self, task: Task) -> World:
        """Return the world of a task, built at its first use; raises `TaskError` where it does not fit."""
        name = (task.split, task.key)
        if name in self._worlds:
            self._worlds.move_to_end(name)
        else:
            self._worlds[name] = build_world(task)
            if len(self._worlds) > _WORLDS_KEPT:
                self._worlds.popitem(last=False)
        return self._worlds[name]


def _difficulty(name: str) -> Difficulty:
    try:
        return Difficulty(name)
    except ValueError:
        raise UnknownNameError("difficulty", str(name), [each.value for each in Difficulty]) from None


def _task_types(names: Iterable[str]) -> tuple[TaskType, ...]:
    short = {each.name.lower(): each for each in TaskType}
    known = {**short, **{each.value: each for each in TaskType}}
    chosen: dict[TaskType, None] = {}
    for name in [names] if isinstance(names, str) else names:
        if name not in known:
            raise UnknownNameError("household task type", str(name), known)
        chosen[known[name]] = None
    if not chosen:
        raise UnknownNameError("household task type", "", known, "Give at least one, or none for all.")
    return tuple(chosen)
