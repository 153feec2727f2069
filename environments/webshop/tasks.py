"""The shop's suite: 5,000 tasks to train on, 300 to select by, 300 held out in kinds of products of their own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, overload

from agentgym.core.errors import TaskError, UnknownNameError, did_you_mean
from agentgym.core.task import Split, Task
from agentgym.environments.webshop.catalogue import FAMILIES, MEMBERS, PER_CATEGORY, product
from agentgym.environments.webshop.vocabulary import CATEGORIES
from agentgym.environments.webshop.wording import instruction

ENV_ID = "agentgym/Webshop-v0"
VERSION = "1"
COUNTS: dict[Split, int] = {Split.TRAIN: 5000, Split.SELECT: 300, Split.HELDOUT: 300}


class _Asked(NamedTuple):
    attributes: int
    options: int
    """At most: some kinds of products have one option only."""


DIFFICULTIES: dict[str, _Asked] = {"easy": _Asked(1, 1), "medium": _Asked(2, 2), "hard": _Asked(3, 2)}
"""How much is asked for."""

_SELECT_EVERY = 16
"""Of so many families of near-duplicates, the products of one are asked for in `select` only."""
_PRICE_STEP = 10
_PRICE_STEPS = 4


def _task(split: Split, index: int) -> Task:
    """Make the task of a number: difficulties take turns, the rest is drawn."""
    difficulty = list(DIFFICULTIES)[index % len(DIFFICULTIES)]
    name = f"{split.value}-{difficulty}-{index:04d}"
    rng = random.Random(f"webshop {VERSION}: {name}")
    kinds = [n for n, kind in enumerate(CATEGORIES) if kind.heldout == (split is Split.HELDOUT)]
    families = [
        n for n in range(FAMILIES) if split is Split.HELDOUT or _is_select(n) == (split is Split.SELECT)
    ]
    number = rng.choice(kinds) * PER_CATEGORY + rng.choice(families) * MEMBERS + rng.randrange(MEMBERS)
    wanted, asked = product(number), DIFFICULTIES[difficulty]
    # What is easy stands in the title.
    known = wanted.attributes[:2] if difficulty == "easy" else wanted.attributes
    attributes = rng.sample(known, asked.attributes)
    offered = dict(wanted.options)
    options = {
        option: rng.choice(offered[option])
        for option in rng.sample(list(offered), min(asked.options, len(offered)))
    }
    steps = range(wanted.price // _PRICE_STEP + 1, wanted.price // _PRICE_STEP + 1 + _PRICE_STEPS)
    price = _PRICE_STEP * max(rng.sample(steps, 2))  # as WebShop draws it
    return Task(
        id=name,
        env_id=ENV_ID,
        split=split,
        params={
            "task_type": wanted.kind.department.lower(),
            "product": number,
            "attributes": attributes,
            "options": options,
            "price": price,
            "instruction": instruction(wanted.kind.name, attributes, options, price, rng),
        },
        difficulty=difficulty,
    )


def _is_select(family: int) -> bool:
    return family % _SELECT_EVERY == _SELECT_EVERY - 1


class WebshopTasks(Sequence[Task]):
    """The tasks of one split, made when asked for."""

    def __init__(self, split: Split, difficulty: str | None) -> None:
        self._split = split
        step = len(DIFFICULTIES)
        first = 0 if difficulty is None else list(DIFFICULTIES).index(difficulty)
        self._numbers = range(first, COUNTS[split], 1 if difficulty is None else step)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        if isinstance(index, slice):
            return [_task(self._split, number) for number in self._numbers[index]]
        return _task(self._split, self._numbers[index])

    def find(self, task_id: str) -> Task | None:
        """Return the task with this id, or None where the sequence has no such task."""
        number = task_id.rpartition("-")[2]
        if not (number.isascii() and number.isdigit() and int(number[:8]) in self._numbers):
            return None
        task = _task(self._split, int(number[:8]))
        return task if task.id == task_id else None


class WebshopSuite:
    """Tasks of the shop, all or those of one difficulty; raises `UnknownNameError` for another difficulty."""

    name = "webshop"
    version = VERSION
    env_id = ENV_ID
    heldout_differs = (
        "Held-out tasks ask for eight kinds of products that train and select never ask for; select asks for "
        "products of families that train never asks for."
    )

    def __init__(self, difficulty: str | None = None) -> None:
        if difficulty is not None and difficulty not in DIFFICULTIES:
            raise UnknownNameError("difficulty", str(difficulty), DIFFICULTIES)
        self._tasks = {split: WebshopTasks(split, difficulty) for split in Split}

    def tasks(self, split: Split | str) -> WebshopTasks:
        """Return the tasks of a split, in a fixed order."""
        return self._tasks[Split.parse(split)]

    def task(self, task_id: str) -> Task:
        """Return the task with this id, of any split; raises `TaskError` with a suggestion."""
        for tasks in self._tasks.values():
            found = tasks.find(task_id)
            if found is not None:
                return found
        similar = [task.id for tasks in self._tasks.values() for task in tasks[:30]]
        raise TaskError(
            f"Unknown task {task_id!r} of suite {self.name!r}.{did_you_mean(task_id, similar)} "
            f"Ids look like {similar[0]!r}; list them with `suite.tasks(split)`."
        )
