"""Tasks at the edge of a policy's ability: those that it solves about half of the time, and variations of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from agentgym.core.task import Task
from agentgym.core.trace import Episode
from agentgym.training.imagination.asking import Speaker, read_object
from agentgym.training.imagination.buffer import ReplayBuffer
from agentgym.training.imagination.env import imagined_task
from agentgym.training.imagination.model import Opening, goal_of


def outcome_variance(scores: Sequence[float]) -> float:
    """Return V = (1/n) Σ (r - r̄)² of a task's rollouts: greatest where half of them succeed (DreamGym).

    >>> outcome_variance([1.0, 0.0]), outcome_variance([1.0, 1.0])
    (0.25, 0.0)
    """
    return float(np.var(np.asarray(scores, np.float64))) if scores else 0.0


class EdgeOfAbility:
    """Knows how a policy's latest rollouts of each task ended."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[Task, float]] = {}
        """By the key of the task, that of the last play last: the task, and the variance of its outcomes."""

    def take_in(self, episodes: Iterable[Episode]) -> None:
        """Hear how the groups of an iteration ended; those of a task that was heard of before are forgotten."""
        groups: dict[str, list[Episode]] = {}
        for episode in episodes:
            if episode.score is not None and not episode.task.imagined:
                groups.setdefault(episode.group_id, []).append(episode)
        for members in groups.values():
            task = members[0].task
            self._latest.pop(task.key, None)
            self._latest[task.key] = task, outcome_variance([float(member.success) for member in members])

    def tasks(self, count: int) -> list[Task]:
        """Return at most `count` tasks, those with most variance first; of equals the latest played."""
        latest = reversed(self._latest.values())
        return [task for task, _ in sorted(latest, key=lambda each: -each[1])[:count]]


class TaskWriter(Protocol):
    """Makes new tasks out of known ones."""

    def vary(self, task: Task, opening: Opening, seed: int) -> Task | None:
        """Return an imagined variation of a task of the environment; None where there is none."""
        ...


class MidwayStarts:
    """The same task, from a state that a recorded episode went through: for models that know no other tasks."""

    def __init__(self, buffer: ReplayBuffer) -> None:
        self._buffer = buffer

    def vary(self, task: Task, opening: Opening, seed: int) -> Task | None:
        """Begin where one of the task's episodes was, after what is said at its beginning; see `TaskWriter`."""
        drawn = random.Random(seed)
        ways = [way for way in self._buffer.ways.get(task.key, []) if len(way) > 1]
        if not ways:
            return None
        moment = drawn.choice(drawn.choice(ways)[1:]).moment
        told = f"{opening.observation}\n\n{moment.observation}"
        return imagined_task(
            task, Opening(told, opening.instruction, moment.state), name=f"from-{moment.state[:8]}"
        )


_REQUEST = (
    "Below is how a task begins for an agent. An agent solves it about half of the time. Write a task of the same world that "
    "is a little different and about as hard: another goal, or another beginning. Answer with JSON alone: "
    '{"opening": "what the agent is told first, with the goal in it", "instruction": "the goal alone, as a command"}'
)


class WrittenTasks:
    """Lets a language model write the variations, as DreamGym's task generator does."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker

    def vary(self, task: Task, opening: Opening, seed: int) -> Task | None:
        """Ask for a variation; None where the answer holds none. Raises `InferenceFault`. See `TaskWriter`."""
        prompt = f"{_REQUEST}\n\nGoal: {goal_of(task, opening)}\n\n{opening.observation}"
        data = read_object(self._speaker.ask(prompt, seed))
        told, instruction = data.get("opening"), data.get("instruction")
        if not (
            isinstance(told, str) and told.strip() and isinstance(instruction, str) and instruction.strip()
        ):
            return None
        written = Opening(told.strip(), instruction.strip().rstrip("."), "")
        return imagined_task(task, written, name=f"written-{seed % 10**8:08d}", known=False)
