"""Plain tool calling: the world's tools are offered, and each answer calls one of them."""

from __future__ import annotations

from agentgym.agents.talking import TalkingAgent, TalkSession, needs_tools, tool_reader, write_action
from agentgym.core.agent import EpisodeStart
from agentgym.core.env import Action

PROMPT = "You solve a task with tools. Answer with one tool call."


class ToolCallingAgent(TalkingAgent):
    """Plays worlds whose actions are calls of their tools; what comes of a call is told as its result.

    An answer that calls nothing, or calls a tool as it cannot be called, is told what is wrong and asked for
    again, a few times; those answers are thoughts of the decision, and trained with it. Of several calls in an
    answer the first is run.
    """

    def start(self, start: EpisodeStart) -> TalkSession:
        """Begin an episode with an empty conversation."""
        needs_tools(self, start)
        return self.converse(start, PROMPT, tool_reader(start), start.env.tools)

    def write(self, action: Action) -> str:
        """Return the shortest answer by which the agent takes `action`."""
        return write_action(action)
