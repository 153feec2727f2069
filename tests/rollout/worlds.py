"""A world that goes wrong as its tasks say, in every way that worlds do: made for tests of rollouts."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.errors import SandboxFault
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task, TaskSuite

ENV_ID = "test/Counting-v0"
TURNS = 4
HANG_S = 5.0
"""Long for any time-out of a test, short enough for a thread that is left behind."""


class CountingSuite:
    """No task of its own: tests bring theirs."""

    name, version, env_id = "counting", "1", ENV_ID
    heldout_differs = "In nothing."

    def tasks(self, split: Split | str) -> list[Task]:
        return [task("fine")]


class Counting(AgentEnv):
    """Counts to four, then the task is solved. `params["fault"]` strikes at the third turn: in the first episode
    alone where `params["once"]` is a file that does not exist yet, else always."""

    def __init__(self, journal: Path | None = None) -> None:
        self.suite: TaskSuite = CountingSuite()
        self.split = Split.TRAIN
        self.action_space = self.observation_space = Utf8Text()
        self._task: Task | None = None
        self._turn = 0
        self._journal = journal

    @property
    def task(self) -> Task:
        assert self._task is not None
        return self._task

    def state_key(self) -> str:
        return f"{self.task.id} {self._turn}"

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self._task = options["task"]
        self._turn = 0
        self._note(f"reset {self.task.id} {seed} {os.getpid()}")
        if self.task.params.get("at") == "reset":
            self._go_wrong()
        return f"{self.task.id}: 0, {self.np_random.integers(1000)}", self._info()

    def step(self, action: Any) -> StepResult:
        self._turn += 1
        time.sleep(self.task.params.get("latency_s", 0.0))
        while "awaits" in self.task.params and not Path(self.task.params["awaits"]).exists():
            time.sleep(0.01)
        if self._turn == 3 and (given := self._go_wrong()) is not None:
            return given
        told = f"{action}: {self._turn}, {self.np_random.integers(1000)}"
        return told, self._turn / 4, self._turn == TURNS, False, self._info()

    def oracle(self) -> str:
        return f"count {self._turn + 1}"

    def close(self) -> None:
        self._note("close")

    def _go_wrong(self) -> Any:
        """Do as the task says; what is returned takes the place of a step's result."""
        once = self.task.params.get("once")
        if once is not None and Path(once).exists():
            return None
        if once is not None:
            Path(once).touch()
        return FAULTS[self.task.params["fault"]]()

    def _info(self) -> dict[str, Any]:
        return {"success": self._turn == TURNS, "progress": self._turn / TURNS, "valid": True}

    def _note(self, line: str) -> None:
        if self._journal is not None:
            with self._journal.open("a") as file:
                file.write(f"{line}\n")


def task(fault: str, name: str = "", **params: Any) -> Task:
    return Task(name or fault, ENV_ID, Split.TRAIN, params={"fault": fault, **params})


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("not this one")


def _raise(error: BaseException) -> Any:
    raise error


def _hang() -> None:
    time.sleep(HANG_S)


def _lose_the_nursery() -> None:
    """In a process of its own alone: the one that it was forked from dies, then the world fails."""
    os.kill(os.getppid(), signal.SIGKILL)
    raise RuntimeError("a bug in the world")


FAULTS: dict[str, Callable[[], Any]] = {
    "fine": lambda: None,
    "raises": lambda: _raise(RuntimeError("a bug in the world")),
    "times out": lambda: _raise(TimeoutError("the world's own")),
    "stops": lambda: next(iter(())),
    "no sandbox": lambda: _raise(SandboxFault("no sandbox")),
    "short tuple": lambda: ("text", 0.0, False),
    "no tuple": lambda: "text",
    "nan": lambda: ("text", float("nan"), False, False, {}),
    "word as reward": lambda: ("text", "much", False, False, {}),
    "bytes": lambda: (b"text", 0.0, False, False, {}),
    "no text": lambda: ({"image": 1}, 0.0, False, False, {}),
    "surrogate": lambda: ("\ud800", 0.0, False, False, {}),
    "flag": lambda: ("text", 0.0, "no", False, {}),
    "info": lambda: ("text", 0.0, False, False, None),
    "leaves": lambda: sys.exit(7),
    "hangs": _hang,
    "dies": lambda: os._exit(3),
    "orphaned": _lose_the_nursery,
    "unpicklable": lambda: ("text", 0.0, False, False, {"that": Unpicklable()}),
}
EVERYWHERE = [name for name in FAULTS if name not in ("fine", "hangs", "dies", "orphaned", "unpicklable")]
"""Faults that all kinds of stepping can stand."""
