"""ReAct: a thought, an action, an observation, and again (arXiv 2210.03629)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agentgym.agents.chat import parse_action
from agentgym.agents.talking import Reading, TalkingAgent, TalkSession, tool_reader, write_action
from agentgym.core.agent import EpisodeStart
from agentgym.core.env import Action
from agentgym.core.policy import Completion

COMMANDS_PROMPT = (
    "You act in a text world. Answer with what you think and then one command, in two lines:\n"
    "Thought: what to do, and why\nAction: the command"
)
TOOLS_PROMPT = (
    "You solve a task with tools. Answer with what you think, in a line that begins with Thought: and says what to "
    "do, and why. Then call one tool."
)

_ACTION = re.compile(r"^[ \t]*Action:[ \t]*(.*)", re.MULTILINE)


class ReActAgent(TalkingAgent):
    """Thinks aloud before each action, in text worlds and in worlds with tools.

    In the released prompts a thought is optional; here too, only the action must be there.
    """

    def start(self, start: EpisodeStart) -> TalkSession:
        """Begin an episode with an empty conversation."""
        if start.env.tools:
            return self.converse(start, TOOLS_PROMPT, tool_reader(start), start.env.tools)
        return self.converse(start, COMMANDS_PROMPT, read_command)

    def write(self, action: Action) -> str:
        """Return the shortest answer by which the agent takes `action`: it has no thought."""
        return f"Action: {action}" if isinstance(action, str) else write_action(action)

    def describe(self, observation: Any, info: Mapping[str, Any], *, first: bool) -> str:
        """Return what the policy is told of an observation, named as one where it follows on an action."""
        text = super().describe(observation, info, first=first)
        return text if first else f"Observation: {text}"


def read_command(completion: Completion) -> Reading:
    """Read the command after the first `Action:` that begins a line.

    Where none does, the answer is the command, and not valid; neither is one that goes on after it, such as with
    an observation of its own invention.

    >>> from agentgym.core.policy import FinishReason
    >>> read_command(Completion("Thought: food?\\nAction: open fridge 1", FinishReason.STOP, 0))[:2]
    ('open fridge 1', True)
    """
    found = _ACTION.search(completion.text)
    if found is None:
        return Reading(parse_action(completion.text).action, False)
    action, valid = parse_action(found[1])
    return Reading(action, valid and not completion.text[found.end() :].strip())
