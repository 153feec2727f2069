"""The agent contract: what turns observations into actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym

from agentgym.core.env import Action, AgentEnv
from agentgym.core.message import Message
from agentgym.core.policy import Completion, Dictation
from agentgym.core.task import Task
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Versions


@dataclass(frozen=True, slots=True)
class Decision:
    """What the agent chose, and what it was based on.

    `valid` is false when the model's answer could not be parsed into an action; `action` is then what
    the environment is given all the same.
    """

    action: Action
    valid: bool = True
    messages_delta: tuple[Message, ...] = ()
    """Messages added to the conversation for this decision, the answer included."""
    completion: Completion | None = None
    """What the action was read out of."""
    thoughts: tuple[Completion, ...] = ()
    """What was sampled before it on the way to the decision, in its order: plans, verdicts, failed attempts. They
    belong to the same session, so that the completion's context follows on theirs, and share its credit."""
    shown_items: tuple[str, ...] = ()
    """Versions of memory items that came into the conversation for this decision."""
    withheld_items: tuple[str, ...] = ()
    """Versions that would have come into it but for chance."""


class HostedEnv(Protocol):
    """What an agent may ask of an environment that runs elsewhere, in a thread or a process of its own."""

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """The tools it offers in this episode."""
        ...

    @property
    def action_space(self) -> gym.Space[Any]:
        """The actions it takes in this episode."""
        ...

    async def oracle(self) -> Action | None:
        """Return the expert's next action from the current state, or None where there is no expert."""
        ...


@dataclass(frozen=True, slots=True)
class EpisodeStart:
    """What an agent is told when an episode begins."""

    session_id: str
    task: Task
    seed: int
    env: AgentEnv | HostedEnv
    """For its `tools` and its `action_space`; `oracle` asks its expert."""
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])

    async def oracle(self) -> Action | None:
        """Return the expert's next action from the current state, or None where there is no expert."""
        if isinstance(self.env, AgentEnv):
            return self.env.oracle()
        return await self.env.oracle()


class AgentSession(Protocol):
    """An agent in the middle of one episode."""

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        """Choose the next action."""
        ...

    def close(self) -> None:
        """Free what the episode held."""
        ...


@runtime_checkable
class RecitingSession(AgentSession, Protocol):
    """A session that can be told what it answers, so that an episode can begin with turns of another's making."""

    async def recite(self, observation: Any, info: Mapping[str, Any], answer: Dictation) -> Decision:
        """Go on as if `answer` had been this turn's own."""
        ...


@runtime_checkable
class RememberingSession(AgentSession, Protocol):
    """A session that says which state of a memory it plays with."""

    @property
    def versions(self) -> Versions:
        """The versions of memory, skills and tools; `policy` is left at -1."""
        ...


class Agent(Protocol):
    """Makes a session for each episode; safe to share between concurrent episodes."""

    @property
    def name(self) -> str:
        """For listings and records."""
        ...

    def start(self, start: EpisodeStart) -> AgentSession:
        """Begin an episode."""
        ...
