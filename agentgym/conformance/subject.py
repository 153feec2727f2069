"""The environment under test, and how the checks play it."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from gymnasium.utils.env_checker import data_equivalence

from agentgym.core.env import Action, AgentEnv, EnvSpec
from agentgym.core.task import Split, Task

_TASKS_WALKED = 5
_ADVICE = (0.0, 0.15, 0.3, 0.5, 0.7, 0.85)
"""How often each of the walks on a task asks the oracle for the way."""
_TASKS_LOOKED_AT = 20_000
"""Of each split, when looking for tasks of every kind."""


class CheckFailed(Exception):
    """A check found something wrong; the text says what to fix."""


class CheckSkipped(Exception):
    """A check does not apply; the text says why."""


def require(condition: bool, message: str) -> None:
    """Raise `CheckFailed` with `message` unless the condition holds."""
    if not condition:
        raise CheckFailed(message)


@dataclass(frozen=True)
class Limits:
    """What is tolerated, and how much is tried."""

    steps: int = 50
    """Random steps in one walk."""
    longest: int = 200
    """Steps after which an episode is given up."""
    tasks_per_kind: int = 2
    """Tasks of each kind, difficulty and group in each split for the oracle."""
    floor: float = 0.2
    """Greatest success rate of a player that understands nothing."""
    score: tuple[float, float] = (0.0, 1.0)
    """Smallest and greatest sum of an episode's rewards."""
    reset_s: float = 5.0
    """Seconds for a reset, at most, in the median."""
    step_s: float = 1.0
    """Seconds for a step, at most, in the median."""


@dataclass(frozen=True)
class Subject:
    """One environment with its options."""

    spec: EnvSpec
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seed: int = 0
    limits: Limits = field(default_factory=Limits)

    @contextmanager
    def env(self, split: Split = Split.TRAIN) -> Generator[AgentEnv]:
        """Make an environment and close it in the end."""
        env = self.spec.make(split, **self.options)
        try:
            yield env
        finally:
            env.close()

    def rng(self, *name: object) -> random.Random:
        """Return a generator of its own for each name."""
        return random.Random(f"{self.seed} {name}")

    def walks(self, env: AgentEnv) -> Generator[Walk]:
        """Yield walks to take on tasks from all over the environment's split, several on each task."""
        tasks = env.suite.tasks(env.split)
        chooser = self.rng("tasks to walk")
        for number in range(_TASKS_WALKED):
            task = tasks[chooser.randrange(len(tasks))]
            for advice in _ADVICE:
                yield Walk(task, self.rng("walk", number, advice), advice)

    def tasks_of_each_kind(self, split: Split) -> list[Task]:
        """Return the first tasks of each kind, difficulty and group of a split."""
        with self.env(split) as env:
            kinds: dict[tuple[str, str, str], list[Task]] = {}
            for task in islice(env.suite.tasks(split), _TASKS_LOOKED_AT):
                of_kind = kinds.setdefault((task.task_type, task.difficulty, task.group), [])
                if len(of_kind) < self.limits.tasks_per_kind:
                    of_kind.append(task)
        return [task for of_kind in kinds.values() for task in of_kind]


@dataclass(frozen=True)
class Walk:
    """A way to play a task: at random, or now and then as the oracle says, so that it gets somewhere."""

    task: Task
    rng: random.Random
    advice: float
    """Probability that a step is the oracle's."""

    def choose(self, env: AgentEnv, info: Mapping[str, Any]) -> Action:
        """Return the next action; a random one where there is no oracle."""
        action = env.oracle() if self.rng.random() < self.advice else None
        return random_action(env, info, self.rng) if action is None else action


@dataclass(frozen=True)
class Moment:
    """What an environment showed after a reset or step, and its state key."""

    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]
    key: str

    @property
    def over(self) -> bool:
        """Whether the episode has ended."""
        return self.terminated or self.truncated


def begin(env: AgentEnv, task: Task, seed: int = 0) -> Moment:
    """Reset to a task."""
    observation, info = env.reset(seed=seed, options={"task": task})
    return Moment(observation, 0.0, False, False, info, env.state_key())


def act(env: AgentEnv, action: Action) -> Moment:
    """Take one step."""
    observation, reward, terminated, truncated, info = env.step(action)
    return Moment(observation, float(reward), bool(terminated), bool(truncated), info, env.state_key())


def random_action(env: AgentEnv, info: Mapping[str, Any], rng: random.Random) -> Action:
    """Choose an admissible action, or sample the action space where they are not known."""
    admissible: Sequence[Action] = info.get("admissible_actions", ())
    if admissible:
        return admissible[rng.randrange(len(admissible))]
    env.action_space.seed(rng.getrandbits(32))
    return env.action_space.sample()


def difference(one: Moment, other: Moment) -> str | None:
    """Return which part of two moments differs, or None where they are equal."""
    for name in ("observation", "reward", "terminated", "truncated", "key"):
        if not same(getattr(one, name), getattr(other, name)):
            return f"{name} {_short(getattr(one, name))} against {_short(getattr(other, name))}"
    for name in sorted({*one.info, *other.info}):
        if not same(one.info.get(name), other.info.get(name)):
            return f"info[{name!r}] {_short(one.info.get(name))} against {_short(other.info.get(name))}"
    return None


def same(one: Any, other: Any) -> bool:
    """Whether two pieces of data are equal, arrays within them included."""
    return data_equivalence(one, other, exact=True)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
