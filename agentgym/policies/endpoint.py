"""A model behind an OpenAI-compatible URL as a policy: a hosted service, vLLM, or any other server.

Where the server tells token ids and log-probabilities (vLLM does), what it samples can be trained on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from agentgym.core.errors import ConfigError, InferenceFault, UsageError
from agentgym.core.message import Message
from agentgym.core.policy import Completion, FinishReason, GenerationRequest, TokenCount
from agentgym.core.trace import agreement
from agentgym.policies.chat_server import OPENAI_URL, ChatServer, ContextOverflow
from agentgym.policies.chat_wire import (
    Answer,
    Dialect,
    LogprobsMode,
    Tokens,
    request_body,
    tells_sampling_logprobs,
)
from agentgym.policies.pace import FIRST_WAIT_S
from agentgym.policies.spending import Prices, Usage

Ids: TypeAlias = NDArray[np.int32]
_Made: TypeAlias = tuple[Completion, Ids]
"""A completion, and the ids of the conversation after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings:
    """Where a model is served, and how to treat the server."""

    url: str = OPENAI_URL
    model: str = ""
    """Empty: the only one that the server lists."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable with the key; many servers on one's own machine want none."""
    requests_per_minute: int | None = None
    """Most requests that begin within any minute; None for no limit."""
    concurrency: int = 64
    """Most requests under way."""
    attempt_timeout_s: float = 300.0
    """How long the server may take for one answer."""
    patience_s: float = 300.0
    """How long a request is tried again after its first failure. A server that is away for less costs no episode."""
    first_wait_s: float = FIRST_WAIT_S
    """Before the second attempt; doubles with each one."""
    prices: Prices | None = None
    logprobs_mode: LogprobsMode = "raw"
    """As a vLLM server was started; its own default is raw_logprobs."""

    def __post_init__(self) -> None:
        if self.concurrency < 1 or (self.requests_per_minute is not None and self.requests_per_minute < 1):
            raise ConfigError(
                f"concurrency and requests_per_minute are at least 1, got {self.concurrency} and "
                f"{self.requests_per_minute}."
            )
        if self.attempt_timeout_s <= 0 or self.patience_s < 0 or self.first_wait_s <= 0:
            raise ConfigError(
                "attempt_timeout_s and first_wait_s are above 0 and patience_s is not below, got "
                f"{self.attempt_timeout_s}, {self.first_wait_s} and {self.patience_s}."
            )


class _Served(NamedTuple):
    model: str
    dialect: Dialect


@dataclass(slots=True)
class _Session:
    ids: Ids = field(default_factory=lambda: np.empty(0, np.int32))
    """The context and completion of the last request, where the server tells them."""
    busy: bool = False


class EndpointPolicy:
    """Continues conversations on a server; implements `agentgym.core.policy.Policy`.

    The server sees whole conversations and keeps no sessions. `usage` counts what they cost. Answers can be
    trained on where the server is vLLM and its log-probabilities are those the tokens were sampled with: at
    temperature 1 (or 0), or with `logprobs_mode` "processed". Answers with tool calls have them parsed by the
    server; calls with broken arguments are text.
    """

    def __init__(self, settings: EndpointSettings, *, version: int = 0) -> None:
        self.settings = settings
        self._version = version
        self._server = ChatServer(
            settings.url,
            api_key_env=settings.api_key_env,
            requests_per_minute=settings.requests_per_minute,
            concurrency=settings.concurrency,
            attempt_timeout_s=settings.attempt_timeout_s,
            patience_s=settings.patience_s,
            first_wait_s=settings.first_wait_s,
        )
        self._served: _Served | None = None
        self._usage = Usage()
        self._sessions: dict[str, _Session] = {}

    def __repr__(self) -> str:
        return f"EndpointPolicy({self.settings.url!r}, model={self.settings.model!r})"

    @property
    def version(self) -> int:
        """What completions are stamped with; the server does not tell."""
        return self._version

    @property
    def model(self) -> str:
        """The name of the model; empty until it is known."""
        return self._served.model if self._served is not None else self.settings.model

    @property
    def usage(self) -> Usage:
        """What has been spent so far."""
        self._usage.retries = self._server.retries
        return self._usage

    def set_version(self, version: int) -> None:
        """Say that the server's weights have changed."""
        self._version = version

    async def connect(self) -> None:
        """Ask the server what it serves. Raises `ConfigError` where that is not what the settings say."""
        listing = await self._server.listing()
        name = self.settings.model
        if not name:
            if listing is None or not listing.models:
                raise ConfigError(f"{self.settings.url} lists no models; check the address, or name a model.")
            if len(listing.models) > 1:
                raise ConfigError(
                    f"{self.settings.url} serves {len(listing.models)} models; name one: "
                    f"{', '.join(listing.models)}."
                )
            (name,) = listing.models
        dialect: Dialect = "vllm" if listing is not None and "vllm" in listing.owners else "other"
        if urlsplit(self.settings.url).hostname == urlsplit(OPENAI_URL).hostname:
            dialect = "openai"
        self._served = _Served(name, dialect)

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return one completion for each request, in order.

        Raises `InferenceFault` where the server gives none within the patience, `ConfigError` where it refuses
        what the settings say, and `UsageError` for a session that has a request under way already.
        """
        self._refuse_wrong(requests)
        sessions = [self._sessions.setdefault(request.session_id, _Session()) for request in requests]
        for session in sessions:
            session.busy = True
        try:
            made = await _together(
                [self._make(request, session) for request, session in zip(requests, sessions, strict=True)]
            )
        finally:
            for session in sessions:
                session.busy = False
        for session, (_, ids) in zip(sessions, made, strict=True):
            session.ids = ids
        return [completion for completion, _ in made]

    def end_session(self, session_id: str) -> None:
        """Forget a conversation. Unknown ids are ignored."""
        self._sessions.pop(session_id, None)

    def _refuse_wrong(self, requests: Sequence[GenerationRequest]) -> None:
        names: set[str] = set()
        for request in requests:
            name = request.session_id
            if name in names or (name in self._sessions and self._sessions[name].busy):
                raise UsageError(f"Session {name!r} has a request under way; await it before the next one.")
            if request.dictated is not None and not isinstance(request.dictated, str):
                raise UsageError(
                    "An endpoint has no tokenizer, so it cannot be told an answer as token ids; dictate its text."
                )
            names.add(name)

    async def _make(self, request: GenerationRequest, session: _Session) -> _Made:
        if isinstance(request.dictated, str):
            message = Message("assistant", request.dictated) if request.tools else None
            return Completion(request.dictated, FinishReason.STOP, -1, message=message), np.empty(0, np.int32)
        version = self._version
        try:
            async with asyncio.timeout(request.timeout_s):
                answer = await self._ask(request)
        except TimeoutError:
            raise InferenceFault(
                f"Session {request.session_id!r}: {self.settings.url} gave no completion within "
                f"{request.timeout_s:g} s."
            ) from None
        except ContextOverflow:
            return Completion("", FinishReason.CONTEXT, version), np.empty(0, np.int32)
        self._usage.requests += 1
        self._usage.prompt_tokens += answer.prompt_tokens
        self._usage.completion_tokens += answer.completion_tokens
        message = answer.message if request.tools else None
        tokens = answer.tokens
        if tokens is None or not tells_sampling_logprobs(request.sampling, self.settings.logprobs_mode):
            return _untold(answer, version, message), np.empty(0, np.int32)
        return _told(answer, tokens, version, message, session.ids)

    async def _ask(self, request: GenerationRequest) -> Answer:
        if self._served is None:
            async with self._server.one_by_one():
                if self._served is None:
                    await self.connect()
        assert self._served is not None  # connect has raised otherwise
        body = request_body(request, self._served.model, self._served.dialect)
        return await self._server.complete(body, request.seed, request.sampling.max_tokens)


async def _together(making: Sequence[Coroutine[Any, Any, _Made]]) -> list[_Made]:
    """Return all results; where one fails, the others are given up."""
    if len(making) == 1:
        return [await making[0]]
    tasks = [asyncio.ensure_future(one) for one in making]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _untold(answer: Answer, version: int, message: Message | None) -> Completion:
    counted = TokenCount(answer.prompt_tokens, answer.completion_tokens)
    return Completion(answer.text, answer.finish_reason, version, message=message, counted=counted)


def _told(answer: Answer, tokens: Tokens, version: int, message: Message | None, previous: Ids) -> _Made:
    shared = agreement(previous, tokens.prompt_ids)
    completion = Completion(
        answer.text,
        answer.finish_reason,
        version,
        shared,
        tokens.prompt_ids[shared:],
        tokens.completion_ids,
        tokens.logprobs,
        message=message,
    )
    return completion, np.concatenate([tokens.prompt_ids, tokens.completion_ids])
