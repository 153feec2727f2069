"""An agent that chats: the task and each observation as user messages, each answer a command."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, Unpack

from agentgym.agents.talking import (
    Reader,
    Reading,
    TalkingAgent,
    TalkingSettings,
    TalkSession,
    needs_commands,
)
from agentgym.core.agent import EpisodeStart
from agentgym.core.env import Action
from agentgym.core.errors import ConfigError
from agentgym.core.policy import Policy

ActionFormat = Literal["plain", "tagged"]

PLAIN_PROMPT = "You act in a text world. Answer with one command."
TAGGED_PROMPT = (
    "You act in a text world. You may think first, inside <think> and </think>. "
    "Then give one command inside <action> and </action>."
)

MAX_ACTION_BYTES = 4096
"""What is given to the environment of an answer that is no action; worlds take at least this much."""

_ACTION = re.compile(r"<action>((?:(?!</?action>).)*)</action>", re.DOTALL)


class ParsedAction(NamedTuple):
    """An action and whether it was found in the form asked for."""

    action: str
    valid: bool


def parse_action(answer: str, action_format: ActionFormat = "plain") -> ParsedAction:
    """Read the action out of an answer; never raises.

    `plain`: the whole answer, which must be one line that is not empty. `tagged`: the text in the last
    `<action>...</action>`. An answer in another form gives its own text, cut to what worlds take.

    >>> parse_action(" open fridge 1 ")
    ParsedAction(action='open fridge 1', valid=True)
    >>> parse_action("<think>food?</think><action>open fridge 1</action>", "tagged")
    ParsedAction(action='open fridge 1', valid=True)
    >>> parse_action("I would open the fridge.", "tagged").valid
    False
    """
    candidate = answer
    if action_format == "tagged":
        found = _ACTION.findall(answer)
        if not found:
            return ParsedAction(_presentable(answer), False)
        candidate = found[-1]
    action = _presentable(candidate)
    one_line = len(action.splitlines()) == 1
    return ParsedAction(action, one_line and action == candidate.strip())


def format_action(action: str, action_format: ActionFormat = "plain") -> str:
    """Return the shortest answer that `parse_action` reads as `action`.

    >>> format_action("open fridge 1", "tagged")
    '<action>open fridge 1</action>'
    """
    return action if action_format == "plain" else f"<action>{action}</action>"


def _presentable(text: str) -> str:
    """Return the text as any world takes it: valid UTF-8, stripped, not longer than `MAX_ACTION_BYTES`."""
    data = text.strip().encode("utf-8", "replace")
    return data[:MAX_ACTION_BYTES].decode("utf-8", "ignore").strip()


class ChatAgent(TalkingAgent):
    """Plays text worlds with any policy; implements `agentgym.core.agent.Agent`."""

    def __init__(
        self, policy: Policy, *, action_format: ActionFormat = "plain", **settings: Unpack[TalkingSettings]
    ) -> None:
        if action_format not in ("plain", "tagged"):
            raise ConfigError(f"action_format must be 'plain' or 'tagged', got {action_format!r}.")
        super().__init__(policy, **settings)
        self.action_format: ActionFormat = action_format

    def start(self, start: EpisodeStart) -> TalkSession:
        """Begin an episode with an empty conversation."""
        needs_commands(self, start)
        prompt = PLAIN_PROMPT if self.action_format == "plain" else TAGGED_PROMPT
        return self.converse(start, prompt, command_reader(self.action_format))

    def write(self, action: Action) -> str:
        """Return the shortest answer by which the agent takes `action`."""
        return format_action(str(action), self.action_format)


def command_reader(action_format: ActionFormat) -> Reader:
    """Return how answers are read where actions are commands."""
    return lambda completion: Reading(*parse_action(completion.text, action_format))
