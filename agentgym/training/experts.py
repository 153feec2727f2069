"""Experts: solutions of train tasks, by the environment's oracle or from the solved episodes of another run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from agentgym.core.env import Action, AgentEnv
from agentgym.core.errors import ConfigError
from agentgym.core.task import Split, Task
from agentgym.core.trace import Outcome
from agentgym.rollout.collect import EpisodePlan
from agentgym.rollout.forks import branch_off
from agentgym.store.store import Store
from agentgym.training.branching import Played
from agentgym.training.demonstrations import demonstrate
from agentgym.training.run import Run

ORACLE = "oracle"


class Solution(NamedTuple):
    """Actions that solve a task."""

    actions: tuple[Action, ...]
    seed: int
    """Of the environment in which they do."""


class Experts:
    """Knows solutions of tasks. `source` is "oracle" or the directory of a run."""

    def __init__(self, source: str, make_env: Callable[[], AgentEnv], max_turns: int) -> None:
        self._source = source
        self._make_env = make_env
        self._max_turns = max_turns
        self._known: dict[str, Solution | None] = {} if source == ORACLE else _solved(source)

    def among(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Return the tasks that may have a solution. Raises `ConfigError` where that is none."""
        if self._source == ORACLE:
            return tasks
        known = [task for task in tasks if task.id in self._known]
        if not known:
            raise ConfigError(
                f"The run {self._source!r} has solved none of these train tasks; give one that has, or 'oracle'."
            )
        return known

    def solution(self, task: Task) -> Solution | None:
        """Return what solves a task within the recipe's turns, or None where that is not known."""
        if task.id not in self._known:
            self._known[task.id] = self._asked(task) if self._source == ORACLE else None
        return self._known[task.id]

    def _asked(self, task: Task) -> Solution | None:
        with closing(self._make_env()) as env:
            played = demonstrate(env, task, noise=0.0, seed=0, max_turns=self._max_turns)
        return None if played is None else Solution(played.actions, played.seed)


def go_on(plan: EpisodePlan, told: EpisodePlan, way: Played, length: int) -> EpisodePlan:
    """Return `plan` so that it goes on after the first `length` turns (at least one) of an expert's solution.

    `told` is the plan in which the agent recited the whole solution, and `way` what was then played. A way that broke
    off before is replayed as far as it goes.
    """
    if length >= len(way.episode.turns):
        return replace(plan, seed=told.seed, agent_seed=plan.seed, prefix=told.prefix[:length])
    forked = branch_off(plan, way.episode, length, way.trail)
    assert forked.start is not None  # at least one turn is behind it
    return replace(
        forked, start=replace(forked.start, origin=None)
    )  # the expert's way is no episode of the run


def _solved(source: str) -> dict[str, Solution | None]:
    """Return the shortest solution of each train task that a run has solved; of several, the newest."""
    run = Run.open(Path(source))
    found: dict[str, Solution | None] = {}
    with Store(run.store, create=False) as store:
        for episode in store.episodes(run.name, outcome=Outcome.SUCCESS):
            before = found.get(episode.task.id)
            if episode.task.split is Split.TRAIN and (
                before is None or len(episode.turns) <= len(before.actions)
            ):
                actions = tuple(turn.action for turn in episode.turns)
                found[episode.task.id] = Solution(actions, episode.seed)
    return found
