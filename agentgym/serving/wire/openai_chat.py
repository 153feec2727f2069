"""OpenAI's chat completions: `POST /v1/chat/completions`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from agentgym.core.message import Message
from agentgym.core.policy import FinishReason
from agentgym.core.tool import ToolSpec
from agentgym.serving.wire.call import Answer, Call, WireFormat
from agentgym.serving.wire.fields import Body, Unsupported, compact, read_body, read_message
from agentgym.serving.wire.openai_shared import HINTS, UNSUPPORTED, offered, problem

_HINTS = HINTS | {"reasoning_effort", "verbosity"}
_UNSUPPORTED = UNSUPPORTED | {
    "n": Unsupported((1,), "one answer is sampled per call: send the call again for another"),
    "stop": Unsupported(([], ""), "an answer ends where the policy ends it: cut the text yourself"),
    "response_format": Unsupported(
        ({"type": "text"},), "answers are not constrained to a format: offer a tool"
    ),
    "modalities": Unsupported((["text"],), "the policy writes text only"),
    "audio": Unsupported((), "the policy writes text only"),
    "frequency_penalty": Unsupported((0,), "tokens are sampled without penalties"),
    "presence_penalty": Unsupported((0,), "tokens are sampled without penalties"),
    "logit_bias": Unsupported(({},), "tokens are sampled without biases"),
    "functions": Unsupported(([],), "write them as `tools`"),
    "function_call": Unsupported(("auto",), "write it as `tool_choice`"),
    "prediction": Unsupported((), "leave it away"),
    "web_search_options": Unsupported((), "the policy has no tools but those of the call"),
}


class _Function(Body):
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(Body):
    type: Literal["function"]
    function: _Function

    def spec(self) -> ToolSpec:
        """Return the tool as the policy is shown it."""
        schema = self.function.parameters or {"type": "object", "properties": {}}
        return ToolSpec(self.function.name, self.function.description or "", schema)


class _StreamOptions(Body):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class _Request(Body):
    model: str
    messages: list[Any] = Field(min_length=1)
    tools: list[_Tool] | None = None
    tool_choice: Any = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    logprobs: bool | None = None
    return_token_ids: bool | None = None


def parse(body: Mapping[str, Any]) -> Call:
    """Read a request; raises `Refusal`."""
    request = read_body(_Request, body, _HINTS, _UNSUPPORTED)
    return Call(
        model=request.model,
        messages=tuple(read_message(data, f"messages[{n}]") for n, data in enumerate(request.messages)),
        tools=offered([tool.spec() for tool in request.tools or ()], request.tool_choice),
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_completion_tokens or request.max_tokens,
        seed=request.seed,
        stream=bool(request.stream),
        stream_usage=bool(request.stream_options and request.stream_options.include_usage),
        show_logprobs=bool(request.logprobs),
        show_ids=bool(request.return_token_ids),
    )


def reply(call: Call, answer: Answer) -> dict[str, Any]:
    """Return the response's body."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"refusal": None, **_spoken(answer.message)},
        "finish_reason": _finish_reason(answer),
        "logprobs": _logprobs(answer) if call.show_logprobs else None,
    }
    body = {**_head(answer, "chat.completion"), "choices": [choice], "usage": _usage(answer)}
    if call.show_ids:
        choice["token_ids"] = answer.completion.completion_ids.tolist()
        body["prompt_token_ids"] = answer.context_ids.tolist()
    return body


def events(call: Call, answer: Answer) -> Iterator[str]:
    """Yield the answer as server-sent events."""
    head = _head(answer, "chat.completion.chunk")
    if call.stream_usage:
        head["usage"] = None
    message = answer.message
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if message.content:
        deltas.append({"content": message.content})
    for index, tool_call in enumerate(_spoken(message).get("tool_calls", ())):
        deltas.append({"tool_calls": [{"index": index, **tool_call}]})
    for place, delta in enumerate(deltas):
        shown = _logprobs(answer) if call.show_logprobs and place == 1 else None
        yield _event(head, {"index": 0, "delta": delta, "finish_reason": None, "logprobs": shown})
    yield _event(head, {"index": 0, "delta": {}, "finish_reason": _finish_reason(answer), "logprobs": None})
    if call.stream_usage:
        yield f"data: {compact({**head, 'choices': [], 'usage': _usage(answer)})}\n\n"
    yield "data: [DONE]\n\n"


def _event(head: Mapping[str, Any], choice: Mapping[str, Any]) -> str:
    return f"data: {compact({**head, 'choices': [choice]})}\n\n"


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{answer.id}", "object": kind, "created": answer.created, "model": answer.model}


def _spoken(message: Message) -> dict[str, Any]:
    data = message.to_openai()
    return {**data, "content": None} if message.tool_calls and not message.content else data


def _finish_reason(answer: Answer) -> str:
    if answer.completion.finish_reason is not FinishReason.STOP:
        return "length"
    return "tool_calls" if answer.message.tool_calls else "stop"


def _logprobs(answer: Answer) -> dict[str, Any]:
    """Return the sampled tokens, named by their ids as vLLM can be told to, with their log-probabilities."""
    pairs = zip(answer.completion.completion_ids.tolist(), answer.completion.logprobs.tolist(), strict=True)
    content: list[dict[str, Any]] = [
        {"token": f"token_id:{token}", "logprob": logprob, "bytes": None, "top_logprobs": []}
        for token, logprob in pairs
    ]
    return {"content": content, "refusal": None}


def _usage(answer: Answer) -> dict[str, int]:
    total = answer.prompt_tokens + answer.completion_tokens
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": total,
    }


CHAT = WireFormat(parse, reply, events, problem)
