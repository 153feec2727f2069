"""MiniWoB's pages as a suite of tasks: a page and a seed each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from agentgym.core.errors import TaskError, UnknownNameError, UsageError, did_you_mean
from agentgym.core.task import Split, Task

ENV_ID = "agentgym/MiniWoB-v1"
SEEN, UNSEEN = "seen", "unseen"

UNSEEN_FAMILIES = (
    "book-flight",
    "choose-date",
    "click-checkboxes",
    "click-tab-2",
    "drag-shapes",
    "email-inbox",
    "find-greatest",
    "hot-cold",
    "number-checkboxes",
    "odd-or-even",
    "read-table",
    "search-engine",
    "social-media",
    "terminal",
    "tic-tac-toe",
    "use-colorwheel",
)
"""Pages whose names begin so are held out, each kind with all its variants."""

SEEDS = {
    (Split.TRAIN, ""): range(100),
    (Split.SELECT, ""): range(10_000, 10_005),
    (Split.HELDOUT, SEEN): range(20_000, 20_005),
    (Split.HELDOUT, UNSEEN): range(30_000, 30_010),
}
"""For each page in a split and group."""


@cache
def html_folder() -> Path:
    """Return the folder with the pages and what they load; raises `UsageError` where the package is missing."""
    spec = find_spec("miniwob")  # not imported: it would want Selenium
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            "The package miniwob, which holds the pages, is missing: install it with "
            "`pip install --no-deps miniwob` (Selenium is not needed here)."
        )
    return Path(spec.submodule_search_locations[0]) / "html"


@cache
def page_names() -> Sequence[str]:
    """Return the names of all pages, such as `click-button`."""
    names = sorted(path.stem for path in (html_folder() / "miniwob").glob("*.html"))
    if not names:
        raise UsageError(
            f"{html_folder()} has no pages; install miniwob anew: `pip install --no-deps miniwob`."
        )
    return names


class MiniwobSuite:
    """Tasks on all pages, or on the given ones. Raises `UnknownNameError` for a page that is not there."""

    name = "miniwob"
    version = "1"
    env_id = ENV_ID
    heldout_differs = (
        "Group `unseen` has kinds of pages, with all their variants, that train and select never show; group `seen` "
        "has pages that they show, with other seeds."
    )

    def __init__(self, pages: Iterable[str] | None = None) -> None:
        self.pages = page_names() if pages is None else _known(pages)
        self._tasks = {split: tuple(self._of(split)) for split in Split}
        self._by_id = {task.id: task for tasks in self._tasks.values() for task in tasks}

    def tasks(self, split: Split | str) -> Sequence[Task]:
        """Return the tasks of a split; pages take turns, so that any first part has each as often."""
        return self._tasks[Split.parse(split)]

    def task(self, task_id: str) -> Task:
        """Return the task with this id, of any split; raises `TaskError` with a suggestion."""
        if task_id not in self._by_id:
            raise TaskError(
                f"MiniWoB has no task {task_id!r} here.{did_you_mean(task_id, self._by_id)} An id is a page and a "
                "seed, such as 'click-button-7'; list them with `suite.tasks(split)`."
            )
        return self._by_id[task_id]

    def _of(self, split: Split) -> Iterable[Task]:
        for (of, group), seeds in SEEDS.items():
            pages = [page for page in self.pages if (group == UNSEEN) == page.startswith(UNSEEN_FAMILIES)]
            if of is split:
                yield from (_task(page, seed, split, group) for seed in seeds for page in pages)


def _task(page: str, seed: int, split: Split, group: str) -> Task:
    params = {"task_type": page}
    return Task(id=f"{page}-{seed}", env_id=ENV_ID, split=split, seed=seed, params=params, group=group)


def _known(pages: Iterable[str]) -> Sequence[str]:
    given = [pages] if isinstance(pages, str) else list(pages)
    for page in given:
        if page not in page_names():
            raise UnknownNameError("page of MiniWoB", str(page), page_names())
    if not given:
        raise UnknownNameError("page of MiniWoB", "", page_names(), "Give at least one, or none for all.")
    return tuple(dict.fromkeys(given))
