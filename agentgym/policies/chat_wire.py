"""Chat completions as JSON: what is asked for, and what comes back.

Servers agree on the core of OpenAI's chat API and differ around it. Those of vLLM also give the token ids, and
take their defaults for sampling from the model's files, so that every setting must be said. OpenAI's own refuses
the settings of others, and some models there any setting but the default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from agentgym.core import strict_json
from agentgym.core.message import Message
from agentgym.core.policy import FinishReason, GenerationRequest, Sampling
from agentgym.core.tool import ToolCall

Dialect = Literal["openai", "vllm", "other"]

LogprobsMode = Literal["raw", "processed"]
"""Of which distribution a server tells log-probabilities: before the temperature, or after it and top-p."""


class Tokens(NamedTuple):
    """The ids behind an answer, as the server counts them."""

    prompt_ids: NDArray[np.int32]
    """The whole context."""
    completion_ids: NDArray[np.int32]
    logprobs: NDArray[np.float32]


class Answer(NamedTuple):
    """A chat completion, read."""

    message: Message
    text: str
    """The content, and after it the calls in the form that Hermes and Qwen models write them."""
    finish_reason: FinishReason
    tokens: Tokens | None
    """None where the server does not tell them."""
    prompt_tokens: int
    completion_tokens: int


class Unreadable(Exception):
    """A response that is no chat completion, or one that the server broke off."""


def request_body(request: GenerationRequest, model: str, dialect: Dialect) -> dict[str, Any]:
    """Return the JSON that asks for the next message."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [message.to_openai() for message in request.messages],
        "seed": request.seed % 2**31,  # the widest that every server takes
        **_sampling(request.sampling, dialect),
    }
    if request.tools:
        body["tools"] = [tool.to_openai() for tool in request.tools]
    return body


def _sampling(sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    wanted = {"temperature": sampling.temperature, "top_p": sampling.top_p}
    match dialect:
        case "openai":
            said = {name: value for name, value in wanted.items() if value != 1.0}
            return {**said, "max_completion_tokens": sampling.max_tokens}
        case "vllm":
            neutral = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
            tokens = {"logprobs": True, "return_token_ids": True}
            return {**wanted, "max_tokens": sampling.max_tokens, **neutral, **tokens}
        case "other":
            return {**wanted, "max_tokens": sampling.max_tokens}


def read_answer(data: Any, max_tokens: int) -> Answer:
    """Read a response to a request for at most `max_tokens`. Raises `Unreadable` where it is none."""
    try:
        choice: dict[str, Any] = data["choices"][0]
        usage: dict[str, Any] = data.get("usage") or {}
        message, text = _message(choice["message"])
        tokens = _tokens(data, choice)
        prompt, completion = (int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens"))
        reason = choice.get("finish_reason")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise Unreadable(f"a response that is no chat completion ({type(error).__name__}: {error})") from None
    if reason in ("abort", "error"):
        raise Unreadable(f"a completion that it broke off (finish_reason {reason!r})")
    if reason != "length":
        finish = FinishReason.STOP
    else:
        finish = FinishReason.CONTEXT if 0 < completion < max_tokens else FinishReason.LENGTH
    return Answer(message, text, finish, tokens, prompt, completion)


def tells_sampling_logprobs(sampling: Sampling, mode: LogprobsMode) -> bool:
    """Whether a server's log-probabilities are those of `Completion`: at the temperature, before top-p."""
    return sampling.temperature in (0.0, 1.0) if mode == "raw" else sampling.top_p == 1.0


def _message(data: Mapping[str, Any]) -> tuple[Message, str]:
    """Return the message, and the text with its calls; a call whose arguments are no JSON object is content."""
    content = _writable(str(data.get("content") or data.get("refusal") or ""))
    calls: list[ToolCall] = []
    written: list[str] = []
    for call in cast("Sequence[dict[str, Any]]", data.get("tool_calls") or ()):
        name, arguments = (_writable(str(call["function"][part] or "")) for part in ("name", "arguments"))
        arguments = arguments or "{}"
        text = f'<tool_call>{{"name": {json.dumps(name)}, "arguments": {arguments}}}</tool_call>'
        written.append(text)
        try:
            value: Any = strict_json.loads(arguments)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            calls.append(ToolCall(name, cast("dict[str, Any]", value), str(call.get("id") or "")))
        else:
            content += text
    kept = content if not calls else content.strip()
    told = content + "".join(text for text in written if text not in content)
    return Message("assistant", kept, tuple(calls)), told


def _writable(text: str) -> str:
    """Return the text without the lone surrogates that JSON can escape, which no request could carry back."""
    return text.encode("utf-8", "replace").decode()


def _tokens(data: Mapping[str, Any], choice: Mapping[str, Any]) -> Tokens | None:
    """Return the ids and log-probabilities where the server tells all of them."""
    prompt, completion = data.get("prompt_token_ids"), choice.get("token_ids")
    told: dict[str, Any] = choice.get("logprobs") or {}
    entries: list[dict[str, Any]] | None = told.get("content")
    if prompt is None or completion is None or entries is None:
        return None
    tokens = Tokens(
        np.array(prompt, np.int32),
        np.array(completion, np.int32),
        np.array([entry["logprob"] for entry in entries], np.float32),
    )
    if len(tokens.logprobs) != len(tokens.completion_ids):
        raise ValueError(
            f"{len(tokens.completion_ids)} token ids with {len(tokens.logprobs)} log-probabilities"
        )
    if not np.isfinite(tokens.logprobs).all():
        raise ValueError("log-probabilities that are no numbers")
    return tokens
