"""The desktop suite: which tasks there are, and in which split each belongs."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence

from agentgym.core.errors import TaskError, UnknownNameError, did_you_mean
from agentgym.core.task import Split, Task
from agentgym.environments.desktop.goals import Goal
from agentgym.environments.desktop.templates.catalogue import TEMPLATES
from agentgym.environments.desktop.templates.draft import Template

ENV_ID = "agentgym/Desktop-v0"
VERSION = "1"
SEEN, NEW_TEMPLATE = "seen", "new_template"
TASKS_PER_TEMPLATE: dict[Split, int] = {Split.TRAIN: 40, Split.SELECT: 5, Split.HELDOUT: 5}


class DesktopSuite:
    """Tasks on desktops, generated; `difficulty` and `templates` choose a part. Raises `UnknownNameError`."""

    name = "desktop"
    version = VERSION
    env_id = ENV_ID
    heldout_differs = (
        "A part of the held-out tasks (group `seen`) is of templates that train knows, with other files; the others "
        "(`new_template`) are of templates that train and select never show."
    )

    def __init__(self, difficulty: str | None = None, templates: Iterable[str] | None = None) -> None:
        names = None if templates is None else list(templates)
        _must_be_known("template", names or (), TEMPLATES)
        levels = {template.level for template in TEMPLATES.values()}
        _must_be_known("difficulty", [] if difficulty is None else [difficulty], levels)
        chosen = [
            template
            for template in TEMPLATES.values()
            if difficulty in (None, template.level) and (names is None or template.name in names)
        ]
        self._tasks = {split: _of_split(split, chosen) for split in Split}
        self._by_id = {task.id: task for tasks in self._tasks.values() for task in tasks}

    def tasks(self, split: Split | str) -> Sequence[Task]:
        """Return the tasks of a split, in a fixed order in which templates take turns."""
        return self._tasks[Split.parse(split)]

    def task(self, task_id: str) -> Task:
        """Return the task with this id, of any split; raises `TaskError` with a suggestion."""
        if task_id not in self._by_id:
            raise TaskError(
                f"Unknown task {task_id!r} of suite {self.name!r}.{did_you_mean(task_id, self._by_id)} "
                "List them with `suite.tasks(split)`."
            )
        return self._by_id[task_id]

    def goal(self, task: Task) -> Goal:
        """Set a task up; raises `TaskError` where its params are none of this world."""
        template, seed = TEMPLATES.get(task.task_type), task.params.get("world_seed")
        if template is None or not isinstance(seed, int):
            raise TaskError(
                f"Task {task.id!r} is none of this world: params must have a task_type that is a template's name "
                f"and a whole number world_seed, got {dict(task.params)!r:.200}."
            )
        if template.heldout and task.split is not Split.HELDOUT:
            raise TaskError(
                f"Task {task.id!r} has a held-out template, {template.name!r}, in {task.split.value!r}."
            )
        return template.draw(random.Random(seed))


def _of_split(split: Split, templates: Sequence[Template]) -> list[Task]:
    shown = [template for template in templates if split is Split.HELDOUT or not template.heldout]
    return [
        _task(split, template, number) for number in range(TASKS_PER_TEMPLATE[split]) for template in shown
    ]


def _task(split: Split, template: Template, number: int) -> Task:
    name = f"{split.value}-{template.name}-{number:03d}"
    digest = hashlib.blake2b(f"desktop {VERSION}: {name}".encode(), digest_size=6).digest()
    return Task(
        id=name,
        env_id=ENV_ID,
        split=split,
        params={"task_type": template.name, "world_seed": int.from_bytes(digest, "big")},
        difficulty=template.level,
        group=(NEW_TEMPLATE if template.heldout else SEEN) if split is Split.HELDOUT else "",
    )


def _must_be_known(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError(f"desktop {kind}", str(name), known)
