"""What there is to do: who sits where, and whose letters lie on the table."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache

from agentgym.core.errors import TaskError, UsageError, did_you_mean
from agentgym.core.task import Split, Task

ENV_ID = "starter_world/StarterWorld-v0"
HOLES = 5
COUNT = {Split.TRAIN: 2000, Split.SELECT: 100, Split.HELDOUT: 200}

# Nobody works in two splits: what is learned about a name is of no use on held-out tasks.
NAMES = {
    Split.TRAIN: [
        "ada",
        "bela",
        "cleo",
        "dora",
        "emil",
        "finn",
        "gerd",
        "hans",
        "ida",
        "jan",
        "kurt",
        "lena",
        "mona",
        "nils",
        "olga",
        "paul",
    ],
    Split.SELECT: ["quinn", "rosa", "sven", "tina", "ugo", "vera"],
    Split.HELDOUT: ["wanda", "xenia", "yann", "zora", "arno", "britta", "carl", "dina"],
}


class StarterWorldSuite:
    """Tasks with as many `letters` as wished; raises `UsageError` for a number that cannot be."""

    name = "starter_world"
    version = "1"
    env_id = ENV_ID
    heldout_differs = "Held-out letters are for people whom neither train nor select ever names."

    def __init__(self, letters: int = 2) -> None:
        if not 1 <= letters <= HOLES:
            raise UsageError(f"letters must be from 1 to {HOLES}, got {letters}.")
        self._letters = letters

    def tasks(self, split: Split | str) -> Sequence[Task]:
        """Return the tasks of a split, in a fixed order."""
        return _tasks(Split.parse(split), self._letters)

    def task(self, task_id: str) -> Task:
        """Return the task with this id, of any split; raises `TaskError` with a suggestion."""
        known = {task.id: task for split in Split for task in self.tasks(split)}
        if task_id not in known:
            raise TaskError(f"Unknown task {task_id!r} of suite {self.name!r}.{did_you_mean(task_id, known)}")
        return known[task_id]


@lru_cache(maxsize=32)
def _tasks(split: Split, letters: int) -> Sequence[Task]:
    """Draw the tasks of a split; two of equal content are drawn once."""
    rng = random.Random(f"starter_world {split.value} {letters}")
    found: dict[str, Task] = {}
    while len(found) < COUNT[split]:
        people = rng.sample(NAMES[split], HOLES)
        params = {"task_type": f"{letters} letters", "people": people, "letters": rng.sample(people, letters)}
        task = Task(f"{split.value}-{letters}-{len(found):04}", ENV_ID, split, params=params)
        found.setdefault(task.key, task)
    return tuple(found.values())
