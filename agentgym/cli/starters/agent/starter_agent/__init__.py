"""An agent that is told after each action how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentgym.agents.chat import command_reader
from agentgym.agents.talking import TalkingAgent, TalkSession, needs_commands
from agentgym.core.agent import EpisodeStart
from agentgym.core.env import Action

PROMPT = "You act in a text world. Answer with one command."


class StarterAgent(TalkingAgent):
    """Chats, and is told how far it has come.

    `TalkingAgent` brings the policy, its sampling, how much history is shown, and whether the task is restated. What is
    sampled in the conversation is recorded, and trained on.
    """

    def start(self, start: EpisodeStart) -> TalkSession:
        """Begin an episode."""
        needs_commands(self, start)
        return self.converse(start, PROMPT, command_reader("plain"))

    def write(self, action: Action) -> str:
        """Return the answer by which the agent takes `action`, for demonstrations."""
        return str(action)

    def describe(self, observation: Any, info: Mapping[str, Any], *, first: bool) -> str:
        """Return what the policy is told of an observation: how far it has come is added."""
        told = super().describe(observation, info, first=first)
        return told if first else f"{told}\nDone so far: {info.get('progress', 0.0):.0%}."
