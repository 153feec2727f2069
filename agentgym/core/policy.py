"""The policy contract: what produces tokens.

A policy is asked for the next assistant message of a conversation. It owns the tokens: it renders the
messages, keeps what it sampled, and never re-tokenises its own output. A *session* is one conversation;
as long as its messages only grow, each request costs only its new tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from agentgym.core.message import Message
from agentgym.core.tool import ToolCall, ToolSpec


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to pick tokens. `temperature` 0 is greedy."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 64
    """Most tokens in one completion."""


class FinishReason(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    """The model ended its turn."""
    LENGTH = "length"
    """`max_tokens` were sampled."""
    CONTEXT = "context_overflow"
    """The conversation no longer fits the model's context; nothing, or less than asked, was sampled."""


Dictation: TypeAlias = str | tuple[int, ...]
"""An answer given beforehand: its text, or the token ids of one that was sampled, its end included."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """Ask for the next assistant message of `session_id`, whose whole conversation is `messages`.

    `seed` fixes the sampled tokens, whatever else is in the batch. With `dictated` nothing is sampled: the
    conversation goes on as if that had been the answer. Such a completion has version -1 and
    log-probabilities of 0, those of an author who could say nothing else. A request that takes longer than
    `timeout_s` seconds is given up with an `InferenceFault`; the session stays as it was before.
    """

    session_id: str
    messages: Sequence[Message]
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    tools: Sequence[ToolSpec] = ()
    dictated: Dictation | None = None
    timeout_s: float | None = None


def _no_ids() -> NDArray[np.int32]:
    return np.empty(0, np.int32)


def _no_logprobs() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


class TokenCount(NamedTuple):
    """How much was read and how much was written."""

    prompt: int = 0
    """Tokens of the contexts, each counted whole."""
    completion: int = 0


NO_TOKENS = TokenCount()


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled assistant message and the tokens behind it.

    The context it was sampled in is `previous_context[:prompt_start] + prompt_ids`, where
    `previous_context` is the context and completion of the session's previous request (empty at
    first). With growing messages `prompt_start` is all of it and `prompt_ids` only the new tokens.
    A policy that cannot see tokens (most endpoints) leaves the arrays empty.
    """

    text: str
    """The whole answer, tool calls as the model wrote them included, without the end of the turn."""
    finish_reason: FinishReason
    version: int
    """The policy version that sampled its first token; -1 where it was dictated."""
    prompt_start: int = 0
    prompt_ids: NDArray[np.int32] = field(default_factory=_no_ids)
    completion_ids: NDArray[np.int32] = field(default_factory=_no_ids)
    """The sampled ids, the end-of-turn token included where the model chose it."""
    logprobs: NDArray[np.float32] = field(default_factory=_no_logprobs)
    """Log-probability of each sampled id in nats, at the sampling temperature, before top-p."""
    versions: NDArray[np.int32] = field(default_factory=_no_ids)
    """The policy version that sampled each id; empty where that is `version` throughout."""
    message: Message | None = None
    """The answer with its tool calls parsed, where tools were offered: what the conversation goes on with."""
    counted: TokenCount | None = None
    """The tokens that a server counted; None: the arrays tell."""

    @property
    def usage(self) -> TokenCount:
        """The tokens of the whole context it was sampled in, and of the answer."""
        if self.counted is not None:
            return self.counted
        return TokenCount(self.prompt_start + len(self.prompt_ids), len(self.completion_ids))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls that the answer makes."""
        return self.message.tool_calls if self.message is not None else ()

    def as_message(self) -> Message:
        """Return the answer as the conversation's next message."""
        return self.message if self.message is not None else Message("assistant", self.text)


@runtime_checkable
class Policy(Protocol):
    """Anything that continues conversations."""

    @property
    def version(self) -> int:
        """Counts the weight updates; each completion carries the value it was sampled under."""
        ...

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return one completion for each request, in order; raises `InferenceFault` on failure."""
        ...

    def end_session(self, session_id: str) -> None:
        """Forget a conversation and free what it holds. Unknown ids are ignored."""
        ...
