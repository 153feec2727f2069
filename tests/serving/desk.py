"""A gateway over a scripted policy, and plain HTTP to talk to it with."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import httpx2
from transformers import PreTrainedTokenizerBase

from agentgym.core.policy import Completion, FinishReason, GenerationRequest
from agentgym.core.tool import ToolCall
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.policies.tool_calls import write_call
from agentgym.serving.gateway import Gateway
from agentgym.training.demonstrations import RecitingPolicy

Script = Callable[[GenerationRequest], str]
T = TypeVar("T")

TOKENIZER = train_tokenizer(["Press the red button. It is red."] * 5, 300)
PRESS: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "press",
        "description": "Press a button.",
        "parameters": {
            "type": "object",
            "properties": {"colour": {"type": "string"}},
            "required": ["colour"],
        },
    },
}


def read(ids: Sequence[int]) -> str:
    """Return the text of token ids."""
    text = TOKENIZER.decode(list(ids))
    assert isinstance(text, str)
    return text


def press(colour: str) -> str:
    """The answer that presses a button."""
    return write_call(ToolCall("press", {"colour": colour}))


class Scripted:
    """A policy that says what a function tells it to, in real tokens; `version` 0."""

    version = 0

    def __init__(self, script: Script, tokenizer: PreTrainedTokenizerBase = TOKENIZER) -> None:
        self._script = script
        self._own = RecitingPolicy(tokenizer)
        self.fault: Exception | None = None
        """Raised in place of an answer."""
        self.full = False
        """Whether there is no room for an answer."""
        self.gate = asyncio.Event()
        """Nothing is answered while it is not set."""
        self.gate.set()
        self.sampled: Counter[str] = Counter()
        """Answers by session."""
        self.recited: Counter[str] = Counter()
        self.cancelled = 0
        self.sessions: set[str] = set()
        self.requests: list[GenerationRequest] = []

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        return [await self._answer(request) for request in requests]

    def end_session(self, session_id: str) -> None:
        self._own.end_session(session_id)
        self.sessions.discard(session_id)

    async def _answer(self, request: GenerationRequest) -> Completion:
        self.sessions.add(request.session_id)
        if request.dictated is not None:
            self.recited[request.session_id] += 1
            return (await self._own.generate([request]))[0]
        self.requests.append(request)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fault is not None:
            raise self.fault
        self.sampled[request.session_id] += 1
        (completion,) = await self._own.generate([replace(request, dictated=self._script(request))])
        if self.full:
            nothing = {"completion_ids": completion.completion_ids[:0], "logprobs": completion.logprobs[:0]}
            return replace(completion, text="", finish_reason=FinishReason.CONTEXT, message=None, **nothing)
        return replace(completion, version=self.version)


def echo(request: GenerationRequest) -> str:
    """Answer with the last message, between angle brackets."""
    return f"<{request.messages[-1].content}>"


class Http:
    """Talks to one gateway as nobody's client library would."""

    def __init__(self, gateway: Gateway, client: httpx2.AsyncClient, problems: list[str]) -> None:
        self.gateway = gateway
        self.problems = problems
        """What the operator was told."""
        self._client = client

    async def post(
        self,
        path: str,
        body: Any = None,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        own = {"authorization": f"Bearer {self.gateway.token}"} if headers is None else headers
        sent: dict[str, Any] = {"json": body} if content is None else {"content": content}
        return await self._client.post(f"{self.gateway.url}{path}", headers=own, **sent)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> httpx2.Response:
        own = {"x-api-key": self.gateway.token} if headers is None else headers
        return await self._client.get(f"{self.gateway.url}{path}", headers=own)

    async def chat(self, rollout: str, *texts: str, attempt: int = 1, **fields: Any) -> httpx2.Response:
        """Send a conversation in which user and assistant take turns."""
        roles = ("user", "assistant")
        messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
        body = {"model": "policy", "messages": messages, **fields}
        return await self.post(f"/rollout/{rollout}/attempt/{attempt}/v1/chat/completions", body)

    async def reward(self, rollout: str, reward: float, attempt: int = 1, **fields: Any) -> httpx2.Response:
        return await self.post(f"/rollout/{rollout}/attempt/{attempt}/reward", {"reward": reward, **fields})


def serve(script: Script, use: Callable[[Http, Scripted], Awaitable[T]], **options: Any) -> T:
    """Run `use` with a gateway over a scripted policy."""

    async def run() -> T:
        policy = Scripted(script)
        problems: list[str] = []
        async with (
            Gateway(policy, on_problem=problems.append, **options) as gateway,
            httpx2.AsyncClient() as client,
        ):
            result = await use(Http(gateway, client, problems), policy)
        assert not policy.sessions, "sessions are left behind"
        return result

    return asyncio.run(run())
