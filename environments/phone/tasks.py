"""The phone suite: which tasks there are, and in which split each belongs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

from agentgym.core.errors import TaskError, UnknownNameError, did_you_mean
from agentgym.core.task import Split, Task
from agentgym.environments.phone.templates.catalogue import NEW_APPS, TEMPLATES, Play, set_up
from agentgym.environments.phone.templates.draft import Template

ENV_ID = "agentgym/Phone-v0"
VERSION = "1"
SEEN, NEW_TEMPLATE, NEW_APP = "seen", "new_template", "new_app"

TASKS_PER_TEMPLATE: dict[Split, int] = {Split.TRAIN: 400, Split.SELECT: 30, Split.HELDOUT: 30}


@dataclass(frozen=True, slots=True)
class _Cell:
    """Tasks that differ only in their number."""

    split: Split
    group: str
    template: Template

    def task(self, number: int) -> Task:
        """Make the task of a number: what differs is the phone, and what the template chooses on it."""
        name = f"{self.split.value}-{self.template.name}-{number:03d}"
        digest = hashlib.blake2b(f"phone {VERSION}: {name}".encode(), digest_size=6).digest()
        return Task(
            id=name,
            env_id=ENV_ID,
            split=self.split,
            params={"task_type": self.template.name, "world_seed": int.from_bytes(digest, "big")},
            difficulty=self.template.level.value,
            group=self.group,
        )


class PhoneTasks(Sequence[Task]):
    """The tasks of one split, made when asked for; templates take turns."""

    def __init__(self, split: Split, templates: Sequence[Template]) -> None:
        self._cells = [
            _Cell(split, _group(template) if split is Split.HELDOUT else "", template)
            for template in templates
            if split is Split.HELDOUT or not template.heldout
        ]
        self._of_template = {cell.template.name: cell for cell in self._cells}
        self._split = split

    def __len__(self) -> int:
        return TASKS_PER_TEMPLATE[self._split] * len(self._cells)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number, cell = divmod(range(len(self))[index], len(self._cells))
        return self._cells[cell].task(number)

    def find(self, task_id: str) -> Task | None:
        """Return the task with this id, or None where the sequence has no such task."""
        split, _, rest = task_id.partition("-")
        name, _, number = rest.rpartition("-")
        cell = self._of_template.get(name)
        if cell is None or split != self._split.value or not (number.isascii() and number.isdigit()):
            return None
        known = int(number) < TASKS_PER_TEMPLATE[self._split] and number == f"{int(number):03d}"
        return cell.task(int(number)) if known else None

    def examples(self) -> list[str]:
        """Return the id of one task of each template."""
        return [cell.task(0).id for cell in self._cells]


class PhoneSuite:
    """Tasks on phones, generated; see the world's README for what they are.

    `difficulty` is `easy`, `medium` or `hard`; `apps` and `templates` are names. None takes all. Raises
    `UnknownNameError`.
    """

    name = "phone"
    version = VERSION
    env_id = ENV_ID
    heldout_differs = (
        "A part of the held-out tasks (group `seen`) is of templates that train knows, on other phones; others are of "
        "templates that train and select never show (`new_template`), or of an application that is not on the phones "
        "of train and select (`new_app`)."
    )

    def __init__(
        self,
        difficulty: str | None = None,
        apps: Iterable[str] | None = None,
        templates: Iterable[str] | None = None,
    ) -> None:
        chosen = [
            template
            for template in TEMPLATES.values()
            if difficulty in (None, template.level)
            and (apps is None or template.app in apps)
            and (templates is None or template.name in templates)
        ]
        _must_be_known(
            "difficulty", [] if difficulty is None else [difficulty], {t.level for t in TEMPLATES.values()}
        )
        _must_be_known("application", apps or (), {template.app for template in TEMPLATES.values()})
        _must_be_known("template", templates or (), TEMPLATES)
        self._tasks = {split: PhoneTasks(split, chosen) for split in Split}

    def tasks(self, split: Split | str) -> PhoneTasks:
        """Return the tasks of a split, in a fixed order in which templates take turns."""
        return self._tasks[Split.parse(split)]

    def task(self, task_id: str) -> Task:
        """Return the task with this id, of any split; raises `TaskError` with a suggestion."""
        for tasks in self._tasks.values():
            found = tasks.find(task_id)
            if found is not None:
                return found
        similar = [each for tasks in self._tasks.values() for each in tasks.examples()]
        raise TaskError(
            f"Unknown task {task_id!r} of suite {self.name!r}.{did_you_mean(task_id, similar)} "
            "List them with `suite.tasks(split)`."
        )

    def play(self, task: Task) -> Play:
        """Set a task up; raises `TaskError` where its params are none of this world."""
        template = TEMPLATES.get(task.task_type)
        seed = task.params.get("world_seed")
        if template is None or not isinstance(seed, int):
            raise TaskError(
                f"Task {task.id!r} is none of this world: params must have a task_type that is a template's name "
                f"and a whole number world_seed, got {dict(task.params)!r:.200}."
            )
        if template.heldout and task.split is not Split.HELDOUT:
            raise TaskError(
                f"Task {task.id!r} has a held-out template, {template.name!r}, in {task.split.value!r}."
            )
        return set_up(template, seed)


def _group(template: Template) -> str:
    if template.app in NEW_APPS:
        return NEW_APP
    return NEW_TEMPLATE if template.heldout else SEEN


def _must_be_known(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError(f"phone {kind}", str(name), [each for each in known if each])
