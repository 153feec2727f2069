"""The tasks of a served environment, fetched when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, overload

from agentgym.core.task import Split, Task

PAGE = 500
"""Tasks that are fetched at once."""
Ask: TypeAlias = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""Returns the server's answer to a question."""


class RemoteSuite:
    """A suite whose tasks the server has; `ask` asks it for some of them.

    Raises `EnvironmentFault` where the server is gone.
    """

    def __init__(self, described: Mapping[str, Any], ask: Ask) -> None:
        self.name: str = described["name"]
        self.version: str = described["version"]
        self.env_id: str = described["env_id"]
        self.heldout_differs: str = described["heldout_differs"]
        self._tasks = {split: RemoteTasks(partial(_page, ask, split)) for split in Split}

    def tasks(self, split: Split | str) -> Sequence[Task]:
        """Return the tasks of a split, in the server's order."""
        return self._tasks[Split.parse(split)]


class RemoteTasks(Sequence[Task]):
    """The tasks of one split, fetched in pages by `fetch`: from a position on, with how many there are in all."""

    def __init__(self, fetch: Callable[[int], tuple[list[Task], int]]) -> None:
        self._fetch = fetch
        self._pages: dict[int, list[Task]] = {}
        self._total: int | None = None

    def __len__(self) -> int:
        if self._total is None:
            self._page(0)
        assert self._total is not None
        return self._total

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        page, place = divmod(range(len(self))[index], PAGE)
        return self._page(page)[place]

    def _page(self, number: int) -> list[Task]:
        if number not in self._pages:
            self._pages[number], self._total = self._fetch(number * PAGE)
        return self._pages[number]


def _page(ask: Ask, split: Split, start: int) -> tuple[list[Task], int]:
    found = ask("get_task_range", {"split": split.value, "start": start, "stop": start + PAGE})
    return [Task.from_json(task) for task in found["tasks"]], found["num_tasks"]
