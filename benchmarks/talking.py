"""A world that talks, and takes its time: for measuring what waiting for environments costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task, TaskSuite

CONSTANT_S = 0.1
"""Seconds that `constant` environments take."""


class TalkingSuite:
    """Tasks by number."""

    name, version, env_id = "talking", "1", "bench/Talking-v0"
    heldout_differs = "In nothing."

    def tasks(self, split: Split | str) -> list[Task]:
        """Return a few of them."""
        return [task_of(number) for number in range(64)]


class Talking(AgentEnv):
    """Tells one observation after another, whatever is done, and sleeps before each as long as `latency` says."""

    suite: TaskSuite = TalkingSuite()
    split = Split.TRAIN

    def __init__(self, told: Sequence[Sequence[str]], latency: Callable[[int, int], float] | None) -> None:
        self.action_space = self.observation_space = Utf8Text()
        self.told, self._latency = told, latency
        self._number = self._turn = 0

    @property
    def task(self) -> Task:
        """The one whose observations are told."""
        return task_of(self._number)

    def state_key(self) -> str:
        """Return the number of the task and of the turn."""
        return f"{self._number} {self._turn}"

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        """Begin the task given in the options."""
        self._number, self._turn = options["task"].seed, 0
        return self._observation, {"valid": True}

    def step(self, action: Any) -> StepResult:
        """Sleep and tell the next observation."""
        if self._latency is not None:
            time.sleep(self._latency(self._number, self._turn))
        self._turn += 1
        return self._observation, 0.0, False, False, {"valid": True, "success": False}

    @property
    def _observation(self) -> str:
        told = self.told[self._number % len(self.told)]
        return told[self._turn % len(told)]


def task_of(number: int) -> Task:
    return Task(f"talk-{number}", "bench/Talking-v0", Split.TRAIN, number)


def heavy_tailed(number: int, turn: int) -> float:
    """Seconds of an answer: log-normal around 30 ms, from 10 to 500 ms."""
    normal = np.random.default_rng([number, turn]).normal()
    return float(np.clip(0.03 * np.exp(normal), 0.01, 0.5))


def constant(number: int, turn: int) -> float:
    return CONSTANT_S
