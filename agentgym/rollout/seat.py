"""An environment and what rollouts ask of it, all on one thread: the same wherever that thread is.

What an environment returns is checked here, where it returns it: what is no observation, no number or no
`info` is its fault, and never reaches an agent or a trainer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import gymnasium as gym
import numpy as np

from agentgym.core.env import Action, AgentEnv
from agentgym.core.errors import AgentGymError, EnvironmentFault
from agentgym.core.task import Task
from agentgym.core.tool import ToolSpec

MakeEnv: TypeAlias = Callable[[], AgentEnv]
_T = TypeVar("_T")


class Begun(NamedTuple):
    """What a reset gives: besides the observation, what the agent may know of the environment."""

    observation: Any
    info: Mapping[str, Any]
    tools: Sequence[ToolSpec]
    action_space: gym.Space[Any]


class Taken(NamedTuple):
    """What an action led to, with the key of the state that it was taken in."""

    state_key: str
    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]


class NotAnActionError(AgentGymError):
    """The agent chose something that the environment's action space does not contain."""

    state_key: str = ""
    """Of the state in which it did."""


class Seat:
    """Holds an environment, which it makes when it is first needed and again after `discard`."""

    def __init__(self, make_env: MakeEnv, env: AgentEnv | None = None) -> None:
        self._make_env = make_env
        self._env = env

    @property
    def env(self) -> AgentEnv:
        """The environment, made now if there is none."""
        if self._env is None:
            self._env = self._make_env()
        return self._env

    def ask(self, question: Callable[[Seat], _T]) -> _T:
        """Return what `question`, called here, says. For a seat in another process it must pickle."""
        return question(self)

    def use(self, make_env: MakeEnv) -> None:
        """Close the environment; from now on they are made this other way."""
        self.discard()
        self._make_env = make_env

    def reset(
        self, task: Task | str | None, seed: int | None, options: Mapping[str, Any] | None = None
    ) -> Begun:
        """Begin a task, or without one what the environment draws; `options` are further ones of its `reset`.

        Raises `EnvironmentFault` where what comes back is no observation with its info.
        """
        env = self.env
        chosen = {} if task is None else {"task": task}
        result: object = env.reset(seed=seed, options={**(options or {}), **chosen})
        observation, info = _parts(env, "reset", result, "observation, info")
        _check(env, "reset", observation, info)
        return Begun(observation, info, env.tools, env.action_space)

    def step(self, action: Action) -> Taken:
        """Take an action; raises `NotAnActionError` for what the action space does not contain, else see `take`."""
        env = self._playing
        if not env.action_space.contains(action):
            refused = NotAnActionError(
                f"{action!r:.200} is no action of {env.task.env_id}, which takes {env.action_space}."
            )
            refused.state_key = env.state_key()
            raise refused
        return self.take(action)

    def take(self, action: Action) -> Taken:
        """Take an action, whatever the environment makes of it.

        Raises `EnvironmentFault` where what comes back is no observation, finite reward, two flags and info.
        """
        env = self._playing
        state_key = env.state_key()
        result: object = env.step(action)
        observation, reward, terminated, truncated, info = _parts(
            env, "step", result, "observation, reward, terminated, truncated, info"
        )
        _check(env, "step", observation, info)
        try:
            number = float(reward)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise _garbage(env, "step", "a finite number as reward", reward)
        for flag in (terminated, truncated):
            if not isinstance(flag, bool | np.bool_):
                raise _garbage(env, "step", "booleans for terminated and truncated", cast(object, flag))
        return Taken(state_key, observation, number, bool(terminated), bool(truncated), info)

    def state_key(self) -> str:
        """Return the key of the current state."""
        return self._playing.state_key()

    def snapshot(self) -> bytes:
        """Return everything needed to come back here."""
        return self._playing.snapshot()

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot."""
        self._playing.restore(snapshot)

    def oracle(self) -> Action | None:
        """Return the expert's next action."""
        return self._playing.oracle()

    def discard(self) -> None:
        """Close the environment, which may be broken for good, and forget it."""
        env, self._env = self._env, None
        if env is not None:
            with suppress(Exception):  # why it is discarded is known already
                env.close()

    def close(self) -> None:
        """Close the environment."""
        env, self._env = self._env, None
        if env is not None:
            env.close()

    @property
    def _playing(self) -> AgentEnv:
        if self._env is None:
            raise EnvironmentFault("There is no environment before the first reset; begin an episode.")
        return self._env


def _parts(env: AgentEnv, call: str, result: object, names: str) -> tuple[Any, ...]:
    """Return what a call gave, one part for each of the names."""
    if isinstance(result, tuple):
        parts = cast("tuple[Any, ...]", result)
        if len(parts) == names.count(",") + 1:
            return parts
    raise _garbage(env, call, f"({names})", cast(object, result))


def _check(env: AgentEnv, call: str, observation: object, info: object) -> None:
    text = observation
    if isinstance(observation, dict):
        text = cast("dict[str, object]", observation).get("text")
    if not isinstance(text, str):
        raise _garbage(env, call, "text, or a dict with text, as observation", cast(object, observation))
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _garbage(env, call, "text that encodes as UTF-8", text) from None
    if not isinstance(info, Mapping):
        raise _garbage(env, call, "a mapping as info", info)


def _garbage(env: AgentEnv, call: str, wanted: str, got: object) -> EnvironmentFault:
    return EnvironmentFault(f"{type(env).__name__}.{call} must return {wanted}, but gave {got!r:.200}.")
