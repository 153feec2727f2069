"""A success rate per task that is carried from iteration to iteration, in place of a group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from agentgym.core.errors import UsageError
from agentgym.training.advantages.base import normalise
from agentgym.training.advantages.beta import Scored
from agentgym.training.turns import Samples, TurnTable, Values


class Evidence(NamedTuple):
    """What is known of a task: discounted counts of successes and failures, prior included."""

    successes: float
    failures: float

    @property
    def rate(self) -> float:
        """The estimated success rate."""
        return self.successes / (self.successes + self.failures)


class Tracker(Scored, name="tracker"):
    """SPO (arXiv 2509.13232): success minus the task's tracked success rate, normalised over the batch.

    Old evidence is forgotten by a factor of 2^(-drift / `half_life`), between `least` and `most`, where the
    drift is how far the policy has moved since the task was last played. It needs no group: one rollout of
    each task is enough. The drift is measured before the update that learns from the new outcome, the released
    code measures it after.
    """

    prior: float = Field(default=0.5, gt=0)
    """Successes and failures that a task begins with."""
    half_life: float = Field(default=0.06, gt=0)
    """Drift, in nats per token, over which evidence loses half its weight."""
    least: float = Field(default=0.875, ge=0, lt=1)
    most: float = Field(default=0.96, ge=0, lt=1)
    std: bool = True
    """Divide by the deviation of the batch's trajectories."""
    remembers = True
    asks_for_drift = True

    def __call__(self, turns: TurnTable) -> Values:
        """Return the normalised surprise of each turn's trajectory, shape (R,), and take in the outcomes."""
        if len(turns.task_T) != len(turns.score_T):
            raise UsageError("The advantage `tracker` needs the tasks' ids; fill the TurnTable's `task_T`.")
        success_T = self.success(turns)
        surprise_T = success_T - np.array([self.evidence(task).rate for task in turns.task_T])
        self._learn(turns, success_T)
        batch_T = np.zeros_like(turns.group_T)
        advantage_T = normalise(surprise_T, Samples.of(surprise_T, batch_T), batch_T, self.std)
        return advantage_T[turns.trajectory_R]

    def evidence(self, task: str) -> Evidence:
        """Return what is known of a task; the prior for one that was never played."""
        known = self._tasks.get(task)
        return Evidence(self.prior, self.prior) if known is None else Evidence(*known["evidence"])

    def priority(self, task: str) -> float:
        """Return how much a task is worth playing: sqrt(p (1 - p)) + 0.05, most where the outcome is open."""
        rate = self.evidence(task).rate
        return math.sqrt(rate * (1 - rate)) + 0.05

    def take_in(self, task: str, outcomes: Sequence[float], drift: float) -> Evidence:
        """Add outcomes in 0..1 to what is known of a task, whose older evidence is `drift` nats old."""
        kept = self.forgetting(drift)
        before, won = self.evidence(task), sum(outcomes)
        after = Evidence(kept * before.successes + won, kept * before.failures + len(outcomes) - won)
        self._tasks.setdefault(task, {})["evidence"] = list(after)
        return after

    def take_in_offline(self, task: str, outcomes: Sequence[float]) -> Evidence:
        """Begin a task with outcomes of the policy that training starts from, as much as the longest memory holds."""
        weight = 1 / (1 - self.least) / (len(outcomes) + 2 * self.prior)
        won = sum(outcomes)
        after = Evidence(weight * (won + self.prior), weight * (len(outcomes) - won + self.prior))
        self._tasks.setdefault(task, {})["evidence"] = list(after)
        return after

    def forgetting(self, drift: float) -> float:
        """Return the factor on older evidence."""
        return min(max(2.0 ** (-drift / self.half_life), self.least), self.most)

    @property
    def last_played(self) -> Mapping[str, str]:
        """The id of each task's last episode, by task id."""
        return {task: known["episode"] for task, known in self._tasks.items() if "episode" in known}

    @property
    def _tasks(self) -> dict[str, dict[str, Any]]:
        return self.memory.setdefault("tasks", {})

    def _learn(self, turns: TurnTable, success_T: Values) -> None:
        for task in dict.fromkeys(turns.task_T):
            played = [number for number, other in enumerate(turns.task_T) if other == task]
            drift = 0.0 if turns.drift_T is None else float(turns.drift_T[played[0]])
            self.take_in(task, success_T[played].tolist(), drift)
            if turns.episode_T:
                self._tasks[task]["episode"] = turns.episode_T[played[-1]]
