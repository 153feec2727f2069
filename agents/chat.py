"""An agent that talks: the task and each observation as user messages, each answer an action."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from agentgym.core.agent import Decision, EpisodeStart
from agentgym.core.errors import ConfigError
from agentgym.core.message import Message
from agentgym.core.policy import Dictation, GenerationRequest, Policy, Sampling

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


def turn_seed(seed: int, turn: int) -> int:
    """Return the sampling seed of a turn (64 bits), well apart for neighbouring episodes and turns."""
    digest = hashlib.blake2b(f"{seed}:{turn}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


class ChatAgent:
    """Plays text worlds with any policy; implements `agentgym.core.agent.Agent`.

    `history` is "full", or how many of the last exchanges (answer and observation) are shown after the
    system message and the first observation. `show_admissible` lists the admissible actions under each
    observation, where the world tells them; `restate_task` repeats the instruction under every observation
    but the first, which tells it anyway.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        system_prompt: str | None = None,
        sampling: Sampling | None = None,
        action_format: ActionFormat = "plain",
        history: Literal["full"] | int = "full",
        show_admissible: bool = False,
        restate_task: bool = False,
        name: str = "chat",
    ) -> None:
        if action_format not in ("plain", "tagged"):
            raise ConfigError(f"action_format must be 'plain' or 'tagged', got {action_format!r}.")
        if history != "full" and history < 1:
            raise ConfigError(f"history must be 'full' or a number of exchanges from 1, got {history!r}.")
        self.policy = policy
        self.system_prompt = (
            system_prompt
            if system_prompt is not None
            else (PLAIN_PROMPT if action_format == "plain" else TAGGED_PROMPT)
        )
        self.sampling = sampling or Sampling()
        self.action_format: ActionFormat = action_format
        self.history: Literal["full"] | int = history
        self.show_admissible = show_admissible
        self.restate_task = restate_task
        self._name = name

    @property
    def name(self) -> str:
        """For listings and records."""
        return self._name

    def start(self, start: EpisodeStart) -> ChatSession:
        """Begin an episode with an empty conversation."""
        return ChatSession(self, start)

    def observe(self, observation: Any, info: Mapping[str, Any], *, first: bool) -> Message:
        """Return the user message that tells an observation."""
        text: str = observation if isinstance(observation, str) else observation["text"]
        if self.restate_task and not first and "instruction" in info:
            text = f"{text}\nYour task is to: {info['instruction']}."
        admissible: Sequence[str] = info.get("admissible_actions", ()) if self.show_admissible else ()
        if admissible:
            text = f"{text}\nYou can: {', '.join(str(action) for action in admissible)}."
        return Message("user", text)


class ChatSession:
    """The conversation of one episode."""

    def __init__(self, agent: ChatAgent, start: EpisodeStart) -> None:
        self._agent = agent
        self._start = start
        self._opening: list[Message] = []
        if agent.system_prompt:
            self._opening.append(Message("system", agent.system_prompt))
        self._log: list[Message] = []
        self._turn = 0

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        """Tell the observation, sample an answer and read the action out of it."""
        return await self._turn_on(observation, info, None)

    async def recite(self, observation: Any, info: Mapping[str, Any], answer: Dictation) -> Decision:
        """Tell the observation and go on as if `answer` had been sampled."""
        return await self._turn_on(observation, info, answer)

    async def _turn_on(
        self, observation: Any, info: Mapping[str, Any], dictated: Dictation | None
    ) -> Decision:
        agent = self._agent
        told = agent.observe(observation, info, first=self._turn == 0)
        delta: list[Message] = [told]
        if self._turn == 0:
            delta = [*self._opening, told]
            self._opening.append(told)
        else:
            self._log.append(told)
        request = GenerationRequest(
            self._start.session_id,
            self._messages(),
            agent.sampling,
            turn_seed(self._start.seed, self._turn),
            dictated=dictated,
        )
        (completion,) = await agent.policy.generate([request])
        answer = Message("assistant", completion.text)
        self._log.append(answer)
        self._turn += 1
        action, valid = parse_action(completion.text, agent.action_format)
        return Decision(action, valid, (*delta, answer), completion)

    def close(self) -> None:
        """End the policy's session."""
        self._agent.policy.end_session(self._start.session_id)

    def _messages(self) -> list[Message]:
        if self._agent.history == "full":
            return [*self._opening, *self._log]
        return [*self._opening, *self._log[-2 * self._agent.history :]]
