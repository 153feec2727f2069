"""How agents talk to a policy in one episode, and what of the conversation they show it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Literal, TypeAlias

from agentgym.core.agent import EpisodeStart
from agentgym.core.message import Message
from agentgym.core.policy import Completion, Dictation, GenerationRequest, Policy, Sampling
from agentgym.core.tool import ToolSpec

History: TypeAlias = Literal["full"] | int
"""How much of an episode the policy is shown: all of it, or so many of the last exchanges besides its opening."""


def turn_seed(seed: int, answer: int) -> int:
    """Return the sampling seed of an episode's answer (64 bits), well apart for neighbouring episodes and answers."""
    digest = hashlib.blake2b(f"{seed}:{answer}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


class Voice:
    """A policy in one episode, each of whose answers is sampled by a seed of its own.

    What `tools` returns when it is asked for an answer is offered with the request.
    """

    def __init__(
        self,
        policy: Policy,
        sampling: Sampling,
        start: EpisodeStart,
        tools: Callable[[], Sequence[ToolSpec]] = tuple,
    ) -> None:
        self._policy = policy
        self._sampling = sampling
        self._start = start
        self._tools = tools
        self._answers = 0

    async def answer(self, messages: Sequence[Message], dictated: Dictation | None = None) -> Completion:
        """Return what the policy says to `messages`, or go on as if it had said what is `dictated`."""
        seed = turn_seed(self._start.seed, self._answers)
        self._answers += 1
        request = GenerationRequest(
            self._start.session_id, messages, self._sampling, seed, self._tools(), dictated
        )
        (completion,) = await self._policy.generate([request])
        return completion

    def close(self) -> None:
        """End the policy's session."""
        self._policy.end_session(self._start.session_id)


class Conversation:
    """A conversation with a voice: a system prompt (none where it is empty), what it is told, and its answers.

    What is told before the first answer is the opening, which is always shown; an answer and what comes of it are
    an exchange.
    """

    def __init__(self, voice: Voice, system_prompt: str, history: History) -> None:
        self._voice = voice
        self._history: History = history
        self._opening = [Message("system", system_prompt)] if system_prompt else []
        self._exchanges: list[list[Message]] = []
        self._news = [*self._opening]

    @property
    def begun(self) -> bool:
        """Whether there has been an answer."""
        return bool(self._exchanges)

    @property
    def shown(self) -> list[Message]:
        """What the policy is shown for its next answer."""
        exchanges = self._exchanges if self._history == "full" else self._exchanges[-self._history :]
        return [*self._opening, *chain.from_iterable(exchanges)]

    def tell(self, messages: Sequence[Message]) -> None:
        """Add messages for the next answer."""
        (self._exchanges[-1] if self._exchanges else self._opening).extend(messages)
        self._news.extend(messages)

    async def answer(self, dictated: Dictation | None = None) -> Completion:
        """Return the answer to what is shown of the conversation, which then goes on from it."""
        completion = await self._voice.answer(self.shown, dictated)
        said = completion.as_message()
        self._exchanges.append([said])
        self._news.append(said)
        return completion

    def news(self) -> tuple[Message, ...]:
        """Return the messages since the last call."""
        news, self._news = tuple(self._news), []
        return news

    def close(self) -> None:
        """End the policy's session."""
        self._voice.close()
