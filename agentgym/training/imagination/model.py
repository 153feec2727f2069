"""What a model of an environment is asked, and what it answers.

A model stands in for `step` alone. How a task begins is known from the environment itself, or from who wrote the task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from agentgym.core.env import Stepping
from agentgym.core.task import Task


class Step(NamedTuple):
    """What was seen, and what was done upon it."""

    observation: str
    action: str


@dataclass(frozen=True, slots=True)
class Moment:
    """An action about to be taken, and everything before it."""

    task: str
    """The key of the task, as the environment knows it; empty for a task that only the model knows."""
    goal: str
    """What is asked for, in words."""
    state: str
    """The key of the state; that of an environment where the state was met in it."""
    history: tuple[Step, ...]
    observation: str
    action: str


@dataclass(frozen=True, slots=True)
class Consequence:
    """What an action leads to."""

    observation: str
    reward: float = 0.0
    terminated: bool = False
    success: bool = False
    valid: bool = True
    """Whether the world took the action."""
    state: str = ""
    """The key of the state after it, where that was met in the environment; empty: a new one."""


class ExperienceModel(Protocol):
    """Answers in an environment's place."""

    @property
    def stepping(self) -> Stepping:
        """Where rollouts are to let it run: `THREAD` for one that waits for a server."""
        ...

    def predict(self, moment: Moment, seed: int) -> Consequence:
        """Return what comes of the action; the same for the same moment and seed.

        Raises `InfrastructureError` where the model has no answer: that is never a reward.
        """
        ...


class Opening(NamedTuple):
    """How a task begins."""

    observation: str
    instruction: str
    """Empty where the environment does not say it apart from the observation."""
    state: str
    """The key of the state."""


def goal_of(task: Task, opening: Opening) -> str:
    """Return what is asked for, in words: the instruction, or else the first observation.

    >>> from agentgym.core.task import Split
    >>> goal_of(Task("t", "e", Split.TRAIN), Opening("A room. Find the cup.", "", "0"))
    'A room. Find the cup.'
    """
    return opening.instruction or opening.observation
