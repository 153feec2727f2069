"""BFCL's multi-turn problems as a suite of tasks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentgym.core.errors import TaskError, UnknownNameError, did_you_mean
from agentgym.core.task import Split, Task, content_hash
from agentgym.environments.bfcl import official
from agentgym.environments.bfcl.problem import Problem

ENV_ID = "agentgym/BFCL-v4"
UNSEEN_API = "TradingBot"
"""Problems with it are held out as a whole; a quarter of them all."""

_PARTS = 10
_HELDOUT_PARTS, _SELECT_PARTS = {0, 1}, {2}
"""Of ten parts of the other problems, told apart by a hash of what they start from."""
_PROBLEMS_KEPT = 256


class BfclSuite:
    """The problems of the categories `base`, `miss_func`, `miss_param` and `long_context`, or of some of them.

    The four categories vary the same 200 problems; all variants of a problem, and problems that start from the
    same state, are in one split. Raises `UnknownNameError` for other categories, and `UsageError` where the
    package with the data is not installed.
    """

    name = "bfcl"
    version = "4"
    env_id = ENV_ID
    heldout_differs = (
        f"Group `unseen` are all problems with the {UNSEEN_API}, an API that train and select never show; group "
        "`seen` are other problems, with APIs that they show."
    )

    def __init__(self, categories: Iterable[str] | None = None) -> None:
        self.categories = official.CATEGORIES if categories is None else _known(categories)
        official.require_everything()
        starts = [content_hash(entry["initial_config"]) for entry in official.entries("base")]
        self._entries: dict[str, Mapping[str, Any]] = {}
        self._tasks: dict[Split, list[Task]] = {split: [] for split in Split}
        columns = [official.entries(category) for category in self.categories]
        for start, variants in zip(starts, zip(*columns, strict=True), strict=True):
            for category, entry in zip(self.categories, variants, strict=True):
                task = _task(category, entry, int(start, 16) % _PARTS)
                self._tasks[task.split].append(task)
                self._entries[task.id] = entry
        self._by_id = {task.id: task for tasks in self._tasks.values() for task in tasks}
        self._problems: OrderedDict[str, Problem] = OrderedDict()

    def tasks(self, split: Split | str) -> Sequence[Task]:
        """Return the tasks of a split: the variants of one problem after those of another."""
        return tuple(self._tasks[Split.parse(split)])

    def task(self, task_id: str) -> Task:
        """Return the task with this id, of any split; raises `TaskError` with a suggestion."""
        if task_id not in self._by_id:
            raise TaskError(
                f"BFCL has no problem {task_id!r}.{did_you_mean(task_id, self._by_id)} Ids are the benchmark's own, "
                "such as 'multi_turn_base_0'; list them with `suite.tasks(split)`."
            )
        return self._by_id[task_id]

    def problem(self, task: Task) -> Problem:
        """Return the problem of a task, read at its first use; raises `TaskError` for one of another suite."""
        if self._by_id.get(task.id) != task:
            raise TaskError(f"Task {task.id!r} is none of this suite's; take it from `suite.tasks(split)`.")
        if task.id not in self._problems:
            self._problems[task.id] = Problem(self._entries[task.id])
            if len(self._problems) > _PROBLEMS_KEPT:
                self._problems.popitem(last=False)
        self._problems.move_to_end(task.id)
        return self._problems[task.id]


def _task(category: str, entry: Mapping[str, Any], part: int) -> Task:
    apis: list[str] = sorted(entry["involved_classes"])
    if UNSEEN_API in apis:
        split, group = Split.HELDOUT, "unseen"
    elif part in _HELDOUT_PARTS:
        split, group = Split.HELDOUT, "seen"
    else:
        split, group = (Split.SELECT if part in _SELECT_PARTS else Split.TRAIN), ""
    asked = content_hash([entry["question"], entry["initial_config"], entry["ground_truth"]])
    params = {"task_type": category, "apis": apis, "content": asked}
    return Task(id=entry["id"], env_id=ENV_ID, split=split, params=params, group=group)


def _known(categories: Iterable[str]) -> tuple[str, ...]:
    given = [categories] if isinstance(categories, str) else list(categories)
    for category in given:
        if category not in official.CATEGORIES:
            raise UnknownNameError("BFCL category", str(category), official.CATEGORIES)
    if not given:
        raise UnknownNameError(
            "BFCL category", "", official.CATEGORIES, "Give at least one, or none for all."
        )
    return tuple(dict.fromkeys(given))
