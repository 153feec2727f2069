"""The games in a folder as a suite of tasks."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from agentgym.core.errors import TaskError, UsageError, did_you_mean
from agentgym.core.task import Split, Task, content_hash
from agentgym.environments.alfworld.reader import GAME_FILE, TRAJECTORY_FILE, read_game, read_json
from agentgym.environments.household.world import TaskType, World

ENV_ID = "agentgym/ALFWorld-v0"
DATA_VARIABLE = "ALFWORLD_DATA"

_RELEASE = "json_2.1.1"
_OFFICIAL = {
    "train": (Split.TRAIN, ""),
    "valid_seen": (Split.HELDOUT, "seen"),
    "valid_unseen": (Split.HELDOUT, "unseen"),
}
"""ALFWorld's own folders, and where their games belong."""

_PARTS = 10
"""One part in so many is set aside, by the hash of a game's name."""

_WORLDS_KEPT = 256
_TAIL_BYTES = 16384


class AlfworldSuite:
    """The games below `data`, or below the folder that the environment variable ALFWORLD_DATA names.

    `data` is ALFWorld's data folder, its `json_2.1.1`, or any folder with game folders in it. ALFWorld's
    `valid_seen` and `valid_unseen` are held out, as groups `seen` and `unseen`; of `train` a tenth is set
    aside for `select`, always the same one. In any other folder a tenth of the games is held out and a tenth
    is for `select`. Trials of the same task stay together.

    As in ALFWorld, games that are marked unsolvable, of other task types, or with "movable" or "Sliced" in
    their path are left out. Raises `UsageError` when there is no folder or no game in it.
    """

    name = "alfworld"
    version = "1"
    env_id = ENV_ID

    def __init__(self, data: str | os.PathLike[str] | None = None) -> None:
        self.data = _data_folder(data)
        official = [name for name in _OFFICIAL if (self.data / name).is_dir()]
        folders = [self.data / name for name in official] or [self.data]
        games = sorted(game for folder in folders for game in _game_folders(folder))
        if not games:
            raise UsageError(
                f"{self.data}: no folder below it holds both {GAME_FILE} and {TRAJECTORY_FILE}. "
                "`alfworld-download` fetches the official games, `alfworld-generate` makes the game files."
            )
        self.heldout_differs = _OFFICIAL_DIFFERENCE if official else _PLAIN_DIFFERENCE
        self._tasks: dict[Split, list[Task]] = {split: [] for split in Split}
        for game in games:
            task = _task(PurePosixPath(game.relative_to(self.data).as_posix()), game, bool(official))
            if task is not None:
                self._tasks[task.split].append(task)
        self._by_id = {task.id: task for tasks in self._tasks.values() for task in tasks}
        self._worlds: OrderedDict[str, World] = OrderedDict()

    def tasks(self, split: Split | str) -> Sequence[Task]:
        """Return the tasks of a split, by path."""
        return tuple(self._tasks[Split.parse(split)])

    def task(self, task_id: str) -> Task:
        """Return the task with this id, of any split; raises `TaskError` with a suggestion."""
        found = self._by_id.get(task_id)
        if found is None:
            raise TaskError(
                f"There is no game {task_id!r} in {self.data}.{did_you_mean(task_id, self._by_id)} An id is the "
                "path of a game folder below it; list them with `suite.tasks(split)`."
            )
        return found

    def world(self, task: Task) -> World:
        """Read the game of a task; raises `TaskError` naming the file and what is wrong with it."""
        name = str(task.params.get("game"))
        if name not in self._worlds:
            self._worlds[name] = read_game(self.data / self.task(name).id)
            if len(self._worlds) > _WORLDS_KEPT:
                self._worlds.popitem(last=False)
        self._worlds.move_to_end(name)
        return self._worlds[name]


_OFFICIAL_DIFFERENCE = (
    "Held-out games are ALFWorld's own: group `seen` has new games in rooms that train knows, group `unseen` "
    "games in rooms that train never shows."
)
_PLAIN_DIFFERENCE = (
    "Held-out games are a fixed tenth of the folder's: other tasks than in train and select, in rooms that "
    "may be the same."
)


def _data_folder(data: str | os.PathLike[str] | None) -> Path:
    given = data or os.environ.get(DATA_VARIABLE)
    if not given:
        raise UsageError(
            f'ALFWorld needs its games: pass data="DIR" or set {DATA_VARIABLE}. `alfworld-download` fetches the '
            "official ones into ~/.cache/alfworld; for generated games of the same kind, without any download, "
            "use agentgym/Household-v0."
        )
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of ALFWorld games.")
    return folder / _RELEASE if (folder / _RELEASE).is_dir() else folder


def _game_folders(folder: Path) -> Iterator[Path]:
    for place, _, files in os.walk(folder):
        if GAME_FILE in files and TRAJECTORY_FILE in files:
            yield Path(place)


def _task(name: PurePosixPath, folder: Path, official: bool) -> Task | None:
    """Return the task of a game folder, or None where ALFWorld would leave it out."""
    if "movable" in str(name) or "Sliced" in str(name) or not _solvable(folder / GAME_FILE):
        return None
    task_type = _task_type(name, folder)
    if task_type is None:
        return None
    # Trials of one task lie in one folder; they must not be told apart by the splits.
    siblings = name.parent.name if len(name.parts) > 1 else name.name
    part = int(content_hash(siblings), 16) % _PARTS
    split, group = _OFFICIAL[next(iter(name.parts))] if official else (Split.TRAIN, "")
    if split is Split.TRAIN and part == 0:
        split = Split.SELECT
    elif not official and part == 1:
        split = Split.HELDOUT
    params: dict[str, Any] = {"task_type": task_type.value, "game": str(name)}
    return Task(id=str(name), env_id=ENV_ID, split=split, params=params, group=group)


def _task_type(name: PurePosixPath, folder: Path) -> TaskType | None:
    """Read the task type off the folder's name, where ALFWorld writes it, or else out of the folder."""
    known = {kind.value: kind for kind in TaskType}
    written = name.parent.name.split("-", 1)[0]
    if written in known:
        return known[written]
    return known.get(str(read_json(folder / TRAJECTORY_FILE).get("task_type")))


def _solvable(path: Path) -> bool:
    """Whether a game file says so. The word stands near its end; the files are large and many."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        tail = file.read()
        if b'"solvable"' not in tail:
            file.seek(0)
            tail = file.read()
    _, found, value = tail.rpartition(b'"solvable"')
    return bool(found) and value.lstrip(b" \t\r\n:").startswith(b"true")
