"""Agents without a model: the expert, the random player, and one that does as it is told."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from agentgym.core.agent import Decision, EpisodeStart
from agentgym.core.env import Action
from agentgym.core.errors import ConfigError, UsageError


class OracleAgent:
    """Asks the environment's oracle at each turn.

    With probability `noise` it does a random admissible action instead, so that its episodes show how to
    recover from mistakes. Needs an environment with an oracle, and with admissible actions for `noise`.
    """

    def __init__(self, noise: float = 0.0) -> None:
        if not 0.0 <= noise <= 1.0:
            raise ConfigError(f"noise is a probability in [0, 1], got {noise}.")
        self.noise = noise

    @property
    def name(self) -> str:
        """`oracle`, with the noise where there is some."""
        return f"oracle (noise {self.noise:g})" if self.noise else "oracle"

    def start(self, start: EpisodeStart) -> ScriptedSession:
        """Begin an episode; its seed decides where the noise strikes."""
        rng = random.Random(start.seed)

        async def choose(info: Mapping[str, Any]) -> Action:
            if self.noise and rng.random() < self.noise:
                return _random_action(start, info, rng)
            action = await start.oracle()
            if action is None:
                raise UsageError(f"{start.task.env_id} has no oracle for task {start.task.id!r}.")
            return action

        return ScriptedSession(choose)


class RandomAgent:
    """Takes any admissible action with equal probability, from a generator of its own."""

    name = "random"

    def start(self, start: EpisodeStart) -> ScriptedSession:
        """Begin an episode; its seed decides all the choices."""
        rng = random.Random(start.seed)

        async def choose(info: Mapping[str, Any]) -> Action:
            return _random_action(start, info, rng)

        return ScriptedSession(choose)


class ScriptedAgent:
    """Does the same list of actions in each episode. Raises `UsageError` when asked for more."""

    def __init__(self, actions: Sequence[Action], name: str = "scripted") -> None:
        self.actions = tuple(actions)
        self._name = name

    @property
    def name(self) -> str:
        """For listings and records."""
        return self._name

    def start(self, start: EpisodeStart) -> ScriptedSession:
        """Begin an episode with the first action."""
        left: Iterator[Action] = iter(self.actions)

        async def choose(_: Mapping[str, Any]) -> Action:
            for action in left:
                return action
            raise UsageError(
                f"The script ended after {len(self.actions)} actions, before the episode did; "
                "lengthen it or set max_turns."
            )

        return ScriptedSession(choose)


class ScriptedSession:
    """An episode in which each action comes from a function of `info`."""

    def __init__(self, choose: Callable[[Mapping[str, Any]], Awaitable[Action]]) -> None:
        self._choose = choose

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        """Choose the next action."""
        return Decision(await self._choose(info))

    def close(self) -> None:
        """Nothing is held."""


def _random_action(start: EpisodeStart, info: Mapping[str, Any], rng: random.Random) -> Action:
    """Choose among the admissible actions; where they are not known, sample the action space."""
    admissible: Sequence[Action] = info.get("admissible_actions", ())
    if admissible:
        return admissible[rng.randrange(len(admissible))]
    start.env.action_space.seed(rng.getrandbits(32))
    return start.env.action_space.sample()
