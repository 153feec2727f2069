"""Beginning in mid-episode: what was played to get there is told once more, and the environment goes on from it.

The environment comes back by a snapshot where one was kept, and what it said on the way is repeated from the
record; else the actions are replayed, and it must say again what is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from agentgym.core.env import Action
from agentgym.core.errors import EnvironmentFault, NotForkableError, UsageError
from agentgym.core.task import Task
from agentgym.core.trace import Origin, Turn
from agentgym.rollout.hosts import EnvHost
from agentgym.rollout.replay import Difference, after_action, before_action
from agentgym.rollout.seat import Begun, Taken


class World(Protocol):
    """What playing an episode needs of an environment; see `EnvHost`."""

    async def reset(self, task: Task, seed: int) -> Begun:
        """Begin a task."""
        ...

    async def step(self, action: Action) -> Taken:
        """Take an action."""
        ...

    async def snapshot(self) -> bytes:
        """Return everything needed to come back here; raises `NotForkableError` where impossible."""
        ...


@dataclass(frozen=True, slots=True)
class Stop:
    """A state on an episode's way: what the environment told there besides the observation, and how to come back."""

    info: Mapping[str, Any]
    snapshot: bytes | None
    """None: only by replay."""

    @classmethod
    async def at(cls, world: World, info: Mapping[str, Any]) -> Stop:
        """Keep the state that a world is in."""
        try:
            return cls(info, await world.snapshot())
        except NotForkableError:
            return cls(info, None)


@dataclass(frozen=True, slots=True)
class Start:
    """A state in mid-episode to begin from."""

    past: tuple[Turn, ...]
    """The turns played to get there, at least one; the plan's `prefix` has their answers."""
    observation: Any
    state_key: str
    stops: tuple[Stop, ...] = ()
    """One for each turn of `past`, and one for the start itself; empty: the past is replayed."""
    origin: Origin | None = None
    """The episode that the past belongs to, where it is one of the run's."""

    def enter(self, host: EnvHost) -> World:
        """Return a world in which the past happens again and that then goes on as `host`."""
        snapshot = self.stops[-1].snapshot if self.stops else None
        return _Replayed(host, self) if snapshot is None else _Restored(host, self, snapshot)

    def recorded(self, position: int, turn: Turn) -> Turn:
        """Return a recited turn with the log-probabilities that its answer was sampled with, where it was.

        Raises `UsageError` where its tokens are not those recorded: another agent or policy recites.
        """
        before = self.past[position]
        if not len(before.completion_ids):
            return turn
        same = turn.prompt_start == before.prompt_start and all(
            np.array_equal(getattr(turn, ids), getattr(before, ids))
            for ids in ("prompt_ids", "completion_ids")
        )
        if not same:
            raise UsageError(
                f"Turn {position} does not have the tokens that it was recorded with, so this agent cannot go on from "
                "there; branch with the agent, and a policy with the tokenizer, that played the episode."
            )
        return replace(turn, logprobs=before.logprobs)


class _Past:
    """What restored and replayed worlds have in common."""

    def __init__(self, host: EnvHost, start: Start) -> None:
        self.host = host
        self.start = start
        self.done = 0
        """Turns of the past that are over."""

    @property
    def over(self) -> bool:
        """Whether the present has begun."""
        return self.done == len(self.start.past)

    def next_turn(self, action: Action) -> Turn:
        """Return the record of the turn that `action` is taken in; raises `UsageError` for another action."""
        turn = self.start.past[self.done]
        if action != turn.action:
            raise UsageError(
                f"Turn {self.done} was recorded with the action {turn.action!r:.200}, but the agent reads its answer "
                f"as {action!r:.200}; branch with the agent that played the episode."
            )
        return turn

    async def must_be_there(self, observation: Any) -> None:
        """Raise `EnvironmentFault` unless the environment is in the state that is to be begun from."""
        start, state_key = self.start, await self.host.state_key()
        there = replace(start.past[-1], observation=start.observation, state_key=start.state_key)
        self.must_not_differ(before_action(self.done, there, observation, state_key))

    def must_not_differ(self, found: Difference | None) -> None:
        """Raise `EnvironmentFault` for a difference."""
        if found is not None:
            raise EnvironmentFault(
                f"On the way to turn {len(self.start.past)} the environment does not do what it did: {found}. "
                "`agentgym check` looks for the reason."
            )


class _Restored(_Past):
    """A world that repeats the past from the record and goes on from a snapshot."""

    def __init__(self, host: EnvHost, start: Start, snapshot: bytes) -> None:
        super().__init__(host, start)
        self._snapshot = snapshot

    async def reset(self, task: Task, seed: int) -> Begun:
        begun = await self.host.reset(task, seed)
        return begun._replace(observation=self.start.past[0].observation, info=self.start.stops[0].info)

    async def step(self, action: Action) -> Taken:
        if self.over:
            return await self.host.step(action)
        start, turn = self.start, self.next_turn(action)
        self.done += 1
        if self.over:
            await self.host.restore(self._snapshot)
            await self.must_be_there(start.observation)
        observation = start.observation if self.over else start.past[self.done].observation
        info = start.stops[self.done].info
        return Taken(turn.state_key, observation, turn.reward, turn.terminated, turn.truncated, info)

    async def snapshot(self) -> bytes:
        if self.over:
            return await self.host.snapshot()
        snapshot = self.start.stops[self.done].snapshot
        if snapshot is None:
            raise NotForkableError(f"No snapshot was kept of turn {self.done}; replay the actions instead.")
        return snapshot


class _Replayed(_Past):
    """A world that goes through the past again and is held to the record."""

    async def reset(self, task: Task, seed: int) -> Begun:
        begun = await self.host.reset(task, seed)
        first = self.start.past[0]
        self.must_not_differ(before_action(0, first, begun.observation, await self.host.state_key()))
        return begun

    async def step(self, action: Action) -> Taken:
        taken = await self.host.step(action)
        if self.over:
            return taken
        turn = self.next_turn(action)
        self.must_not_differ(
            after_action(self.done, turn, taken.reward, taken.terminated, taken.truncated, taken.info)
        )
        self.done += 1
        if self.over:
            await self.must_be_there(taken.observation)
        else:
            following = self.start.past[self.done]
            self.must_not_differ(
                before_action(self.done, following, taken.observation, await self.host.state_key())
            )
        return taken

    async def snapshot(self) -> bytes:
        return await self.host.snapshot()
