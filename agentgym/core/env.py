"""The environment contract: a Gymnasium environment that can be keyed, forked and asked for its expert."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, runtime_checkable

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agentgym.core.errors import NotForkableError
from agentgym.core.task import Split, Task, TaskSuite
from agentgym.core.tool import ToolCall, ToolSpec

Observation: TypeAlias = str | dict[str, str | NDArray[np.uint8]]
"""Text, or a dict with `text` and `image` (uint8, height x width x 3)."""

Action: TypeAlias = str | ToolCall
"""A text command, or a tool call where the environment offers tools."""

StepResult: TypeAlias = tuple[Any, float, bool, bool, dict[str, Any]]
"""`observation, reward, terminated, truncated, info`, as Gymnasium defines them."""


class Stepping(StrEnum):
    """Where rollouts let an environment run, so that it holds up nobody else."""

    INLINE = "inline"
    """On the event loop itself: for worlds that answer in microseconds. Nothing can end a call that hangs."""
    THREAD = "thread"
    """In a thread of its own, always the same: for worlds that wait for something else. A thread that hangs is
    left behind, and the environment in it replaced."""
    PROCESS = "process"
    """In a process of its own: for worlds that compute, or may crash. A process that hangs is killed. Observations,
    actions, tools and spaces must pickle."""


class AgentEnv(gym.Env[Any, Any]):
    """Base class of every world. Deterministic given seed, task and actions; no global random state.

    `reset(seed=, options={"task": Task | task id})` picks a task: the given one, else one of the split
    drawn from the seed. `info` after reset and step holds:

    - `admissible_actions`: every action that would do something now, where known;
    - `success`: whether the task is solved; `progress`: how far, in [0, 1];
    - `valid`: whether the last action was well formed and applicable (true after reset);
    - `task_id`: the task being played;
    - `instruction`: what is asked for, in words, where the world can say it apart from the observation.

    `step` raises `StepError` before the first `reset` and after the end of an episode. A failure that
    is not the agent's raises an `InfrastructureError`: it never turns into a reward.
    """

    suite: TaskSuite
    split: Split
    tools: Sequence[ToolSpec] = ()
    stepping: Stepping = Stepping.INLINE
    """How rollouts are to step it, unless they are told otherwise."""

    @property
    @abstractmethod
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""

    @abstractmethod
    def state_key(self) -> str:
        """Return a hash of the task-relevant state, equal exactly when the states are equal."""

    def snapshot(self) -> bytes:
        """Return everything needed to come back here; raises `NotForkableError` where impossible."""
        raise NotForkableError(
            f"{type(self).__name__} has no snapshots; replay the episode's actions instead."
        )

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot made by an environment of the same kind."""
        raise NotForkableError(
            f"{type(self).__name__} has no snapshots; replay the episode's actions instead."
        )

    def oracle(self) -> Action | None:
        """Return the expert's next action from the current state, or None where there is no expert."""
        return None


@runtime_checkable
class EnvSpec(Protocol):
    """What a registered environment is: how to make it, and its tasks."""

    id: str
    """Such as `agentgym/Household-v0`."""
    name: str
    """The short name used on the command line, such as `household`."""
    summary: str
    """One line for listings."""

    def make(self, split: Split, **options: Any) -> AgentEnv:
        """Build one environment over a split."""
        ...

    def suite(self, **options: Any) -> TaskSuite:
        """Return the suite of tasks."""
        ...
