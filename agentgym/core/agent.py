"""The agent contract: what turns observations into actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from agentgym.core.env import Action, AgentEnv
from agentgym.core.message import Message
from agentgym.core.policy import Completion, Dictation
from agentgym.core.task import Task


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


@dataclass(frozen=True, slots=True)
class EpisodeStart:
    """What an agent is told when an episode begins."""

    session_id: str
    task: Task
    seed: int
    env: AgentEnv
    """For scripted agents that ask the oracle or the admissible actions. LLM agents leave it alone."""
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])


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


class Agent(Protocol):
    """Makes a session for each episode; safe to share between concurrent episodes."""

    @property
    def name(self) -> str:
        """For listings and records."""
        ...

    def start(self, start: EpisodeStart) -> AgentSession:
        """Begin an episode."""
        ...
