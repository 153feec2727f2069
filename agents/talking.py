"""What agents around a policy share: how they describe what they observe, and how answers become actions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple, Self, TypeAlias, TypedDict, Unpack

from agentgym.agents.conversation import Conversation, History, Voice
from agentgym.agents.pictures import pictures
from agentgym.agents.remembering import Remembrance
from agentgym.agents.reminding import Reminders, Reminding, restated
from agentgym.core.agent import AgentSession, Decision, EpisodeStart
from agentgym.core.env import Action
from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.memory import Memory
from agentgym.core.message import Message
from agentgym.core.policy import Completion, Dictation, FinishReason, Policy, Sampling
from agentgym.core.spaces import ToolCallSpace
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.core.trace import Versions
from agentgym.policies.tool_calls import write_call

ATTEMPTS = 3
"""Answers to one observation; the world is given the last one whether it is an action or not."""


class Reading(NamedTuple):
    """An action as it was read out of an answer."""

    action: Action
    valid: bool
    """Whether it was found in the form asked for."""
    complaint: str = ""
    """What is wrong with it, where the policy is to be told and asked again instead of the world."""


Reader: TypeAlias = Callable[[Completion], Reading]


class TalkingSettings(TypedDict, total=False):
    """What every agent around a policy can be told."""

    system_prompt: str | None
    """In place of the agent's own; an empty one is left out."""
    sampling: Sampling | None
    history: History
    """How many of the last exchanges are shown after the opening; "full" (the default): all."""
    show_admissible: bool
    """List the admissible actions under each observation, where the world tells them."""
    restate_task: bool
    """Repeat the instruction under every observation but the first, which tells it anyway."""
    reminders: Reminders | None
    """Repeat it at some turns only."""
    name: str
    """For listings and records."""
    memory: Memory | None
    """Shows what it has for the first observation."""


class TalkingAgent(ABC):
    """Base of the agents around a policy."""

    def __init__(self, policy: Policy, **settings: Unpack[TalkingSettings]) -> None:
        history = settings.get("history", "full")
        if history != "full" and history < 1:
            raise ConfigError(f"history must be 'full' or a number of exchanges from 1, got {history!r}.")
        self.policy = policy
        self.system_prompt = settings.get("system_prompt")
        self.sampling = settings.get("sampling") or Sampling()
        self.history: History = history
        self.show_admissible = settings.get("show_admissible", False)
        self.restate_task = settings.get("restate_task", False)
        self.reminders = settings.get("reminders")
        self.memory = settings.get("memory")
        self._name = settings.get("name") or type(self).__name__.removesuffix("Agent").lower()

    @property
    def name(self) -> str:
        """For listings and records."""
        return self._name

    def with_memory(self, memory: Memory | None) -> Self:
        """Return the same agent around the same policy with another memory."""
        other = copy(self)
        other.memory = memory
        return other

    @abstractmethod
    def start(self, start: EpisodeStart) -> AgentSession:
        """Begin an episode. Raises `UsageError` for a world whose actions the agent cannot choose."""

    @abstractmethod
    def write(self, action: Action) -> str:
        """Return the shortest answer by which the agent takes `action`, to be dictated."""

    def describe(self, observation: Any, info: Mapping[str, Any], *, first: bool) -> str:
        """Return what the policy is told of an observation."""
        text: str = observation if isinstance(observation, str) else observation["text"]
        text = restated(text, info) if self.restate_task and not first else text
        admissible: Sequence[Action] = info.get("admissible_actions", ()) if self.show_admissible else ()
        if admissible:
            text = f"{text}\nYou can: {', '.join(str(action) for action in admissible)}."
        return text

    def converse(
        self, start: EpisodeStart, prompt: str, reader: Reader, tools: Sequence[ToolSpec] = ()
    ) -> TalkSession:
        """Begin an episode as one conversation, with `prompt` as the agent's own and `tools` offered.

        Raises `ConfigError` for tools with reminders by drift.
        """
        notes = Remembrance(self.memory, start)
        if tools:
            no_drift_here(self)
        # A world without tools is played with text: calls of the memory's would be all there is to call.
        offered = (lambda: (*tools, *notes.tools)) if tools else tuple[ToolSpec, ...]
        voice = Voice(self.policy, self.sampling, start, offered)
        prompt = prompt if self.system_prompt is None else self.system_prompt
        return TalkSession(self, Conversation(voice, prompt, self.history), reader, notes)


class TalkSession:
    """One episode as one conversation: the observations are told, the answers read as actions."""

    def __init__(
        self, agent: TalkingAgent, conversation: Conversation, reader: Reader, notes: Remembrance
    ) -> None:
        self._agent = agent
        self._conversation = conversation
        self._read = reader
        self._notes = notes
        self._reminding = Reminding(agent.reminders)
        self._calls: Sequence[ToolCall] = ()
        """Those of the last answer: what comes of it is told as the result of the first."""

    @property
    def versions(self) -> Versions:
        """Which state of its memory the episode is played with."""
        return self._notes.versions

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        """Tell the observation, sample an answer and read the action out of it."""
        return await self._decide(observation, info, None)

    async def recite(self, observation: Any, info: Mapping[str, Any], answer: Dictation) -> Decision:
        """Tell the observation and go on as if `answer` had been sampled."""
        return await self._decide(observation, info, answer)

    def close(self) -> None:
        """End the policy's session."""
        self._conversation.close()

    async def _decide(
        self, observation: Any, info: Mapping[str, Any], dictated: Dictation | None
    ) -> Decision:
        talk = self._conversation
        told = self._agent.describe(observation, info, first=not talk.begun)
        told = self._reminding.under(told, info)
        told = told if talk.begun else await self._notes.before(told)
        talk.tell(self._outcome(told, pictures(observation)))
        failed: list[Completion] = []
        while True:
            shown = talk.shown
            completion = await talk.answer(dictated)
            self._reminding.answered(shown, completion)
            self._calls = completion.tool_calls
            looked_up = await self._notes.answer(completion)
            if looked_up is None:
                action, valid, complaint = self._read(completion)
            else:
                action, valid, complaint = completion.tool_calls[0], False, looked_up
            over = dictated is not None or len(failed) + 1 == ATTEMPTS
            if not complaint or over or completion.finish_reason is FinishReason.CONTEXT:
                return Decision(action, valid, talk.news(), completion, tuple(failed), *self._notes.news())
            failed.append(completion)
            talk.tell(self._outcome(complaint))

    def _outcome(self, text: str, images: tuple[str, ...] = ()) -> list[Message]:
        """Return the messages that tell what came of the last answer."""
        if not self._calls:
            return [Message("user", text, images=images)]
        first, *others = self._calls
        skipped = [Message("tool", "Not run: one call at a time.", (), call.id) for call in others]
        seen = (
            [Message("user", "This is to be seen now.", images=images)] if images else []
        )  # results are text
        return [Message("tool", text, (), first.id), *skipped, *seen]


def tool_reader(start: EpisodeStart) -> Reader:
    """Return how answers are read where actions are calls of tools: the first call, or else the text."""
    space, tools = start.env.action_space, [tool.name for tool in start.env.tools]

    def read(completion: Completion) -> Reading:
        action = completion.tool_calls[0] if completion.tool_calls else completion.as_message().content
        if space.contains(action):
            return Reading(action, True)
        if isinstance(action, str):
            return Reading(action, False, f"That is no call. Call one of the tools: {', '.join(tools)}.")
        problem = space.problem(action) if isinstance(space, ToolCallSpace) else None
        return Reading(action, False, problem or f"{action} is not possible here.")

    return read


def no_drift_here(agent: TalkingAgent) -> None:
    """Raise `ConfigError` for reminders by drift, where there is no conversation of plain text to measure it in."""
    if agent.reminders is not None and agent.reminders.gauge is not None:
        raise ConfigError(
            f"Drift is measured in conversations of text commands, which {agent.name!r} does not have here. Remind it "
            "every so many turns, or play a text world with the agent 'chat' or 'react'."
        )


def needs_commands(agent: TalkingAgent, start: EpisodeStart) -> None:
    """Raise `UsageError` for a world that takes calls of tools instead of text commands."""
    if isinstance(start.env.action_space, ToolCallSpace):
        raise UsageError(
            f"{start.task.env_id} takes calls of its tools ({_names(start)}), and the agent {agent.name!r} gives text "
            "commands; play it with the agent 'toolcalling', 'react' or 'planner'."
        )


def needs_tools(agent: TalkingAgent, start: EpisodeStart) -> None:
    """Raise `UsageError` for a world without tools."""
    if not start.env.tools:
        raise UsageError(
            f"{start.task.env_id} offers no tools for the agent {agent.name!r} to call; play it with the agent "
            "'chat', 'react' or 'planner'."
        )


def _names(start: EpisodeStart) -> str:
    return ", ".join(tool.name for tool in start.env.tools)


def write_action(action: Action) -> str:
    """Return an action as it stands in an answer: the command itself, or the call."""
    return action if isinstance(action, str) else write_call(action)
