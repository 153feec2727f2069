"""A call and its answer, whatever the API they came through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentgym.core.message import Message
from agentgym.core.policy import Completion
from agentgym.core.tool import ToolSpec
from agentgym.serving.problems import Refusal


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asks for. None: it left that to the server."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stream: bool = False
    stream_usage: bool = False
    """Whether the stream ends with the numbers of tokens."""
    show_logprobs: bool = False
    show_ids: bool = False
    """Whether the answer shows its token ids, as vLLM's `return_token_ids` does."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the policy made of a call."""

    id: str
    """Hexadecimal digits; each API puts its own prefix before them."""
    created: int
    """Seconds since 1970."""
    model: str
    completion: Completion
    context_ids: NDArray[np.int32]
    """The whole context that it was sampled in; empty where the policy shows no ids."""

    @property
    def message(self) -> Message:
        """The answer with its tool calls."""
        return self.completion.as_message()

    @property
    def prompt_tokens(self) -> int:
        """Length of the context."""
        return len(self.context_ids)

    @property
    def completion_tokens(self) -> int:
        """Number of sampled tokens."""
        return len(self.completion.completion_ids)


class WireFormat(NamedTuple):
    """One API."""

    parse: Callable[[Mapping[str, Any]], Call]
    """Reads a request; raises `Refusal`."""
    reply: Callable[[Call, Answer], dict[str, Any]]
    """The body of the response."""
    events: Callable[[Call, Answer], Iterator[str]]
    """The same as server-sent events."""
    problem: Callable[[Refusal], dict[str, Any]]
    """The body of a refusal."""
