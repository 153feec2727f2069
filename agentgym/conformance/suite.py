"""Are the splits what they claim? Task lists, their order, and that no content is in two of them."""

from __future__ import annotations

from itertools import combinations

from agentgym.conformance.subject import Subject, require
from agentgym.core.task import Split, Task


def check_splits(subject: Subject) -> str:
    """Every split has tasks, they name themselves rightly, and no content is in two splits."""
    with subject.env() as env:
        suite = env.suite
    require(
        bool(suite.heldout_differs.strip()),
        "The suite's heldout_differs is empty; say in a sentence how held-out tasks differ in content.",
    )
    require(
        suite.env_id == subject.spec.id,
        f"The suite is for {suite.env_id!r}, but the environment is {subject.spec.id!r}.",
    )
    keys: dict[Split, dict[str, Task]] = {}
    ids: dict[str, Task] = {}
    for split in Split:
        tasks = list(suite.tasks(split))
        require(bool(tasks), f"Split {split.value!r} has no tasks; give it some.")
        for task in tasks:
            _must_belong(task, subject, split)
            require(task.id not in ids, f"Two tasks are called {task.id!r}; ids must be unique in a suite.")
            ids[task.id] = task
        keys[split] = {task.key: task for task in tasks}
        again = suite.tasks(split)
        require(
            len(again) == len(tasks) and [again[i] for i in range(min(100, len(tasks)))] == tasks[:100],
            f"tasks({split.value!r}) is not the same list each time; its order must be fixed.",
        )
    for one, other in combinations(Split, 2):
        both = [(keys[one][key].id, keys[other][key].id) for key in keys[one] if key in keys[other]]
        require(
            not both,
            f"{len(both)} tasks have the same content in {one.value!r} and in {other.value!r}, such as "
            f"{both[:1]}; the evaluation would be spoiled.",
        )
    return ", ".join(f"{len(keys[split])} {split.value}" for split in Split)


def _must_belong(task: Task, subject: Subject, split: Split) -> None:
    require(
        task.split is split and task.env_id == subject.spec.id,
        f"Task {task.id!r} in split {split.value!r} says it is of split {task.split.value!r} and "
        f"environment {task.env_id!r}.",
    )
