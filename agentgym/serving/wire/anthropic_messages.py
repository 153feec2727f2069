"""Anthropic's messages: `POST /v1/messages`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from agentgym.core.message import Message
from agentgym.core.policy import FinishReason
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.serving.problems import Refusal
from agentgym.serving.wire.call import Answer, Call, WireFormat
from agentgym.serving.wire.fields import Body, Unsupported, compact, kind_of, read_body, validated

_HINTS = frozenset({"metadata", "service_tier", "cache_control", "inference_geo", "speed", "user_profile_id"})
_UNSUPPORTED = {
    "top_k": Unsupported((), "tokens are sampled by temperature and top_p"),
    "stop_sequences": Unsupported(([],), "an answer ends where the policy ends it: cut the text yourself"),
    "thinking": Unsupported(({"type": "disabled"},), "the policy's answer is one text"),
    "output_config": Unsupported(({},), "answers are not constrained: offer a tool"),
    "container": Unsupported((), "the policy has no tools but those of the call"),
}
_KINDS = {
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
}


class _Tool(Body):
    name: str = Field(min_length=1)
    input_schema: dict[str, Any]
    description: str | None = None
    type: Literal["custom"] | None = None
    cache_control: Any = None
    strict: bool | None = None


class _ToolChoice(Body):
    type: Literal["auto", "none"]
    disable_parallel_tool_use: Literal[False] | None = None


class _Said(Body):
    role: Literal["user", "assistant", "system"]
    content: str | list[Any]


class _Request(Body):
    model: str
    max_tokens: int = Field(ge=1)
    messages: list[_Said] = Field(min_length=1)
    system: str | list[Any] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, gt=0, le=1)
    stream: bool | None = None


class _Text(Body):
    type: Literal["text"]
    text: str
    cache_control: Any = None
    citations: Any = None


class _ToolUse(Body):
    type: Literal["tool_use"]
    id: str
    name: str = Field(min_length=1)
    input: dict[str, Any]
    cache_control: Any = None
    caller: Any = None


class _ToolResult(Body):
    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[Any] | None = None
    is_error: bool | None = None
    cache_control: Any = None


def parse(body: Mapping[str, Any]) -> Call:
    """Read a request; raises `Refusal`."""
    request = read_body(_Request, body, _HINTS, _UNSUPPORTED)
    messages: list[Message] = []
    if request.system:
        messages.append(Message("system", _joined(request.system, "system")))
    for place, said in enumerate(request.messages):
        messages += _read(said, f"messages.{place}.content")
    if messages[-1].role == "assistant":
        raise Refusal(
            400,
            "messages: the last one is the assistant's; an answer cannot be begun for the policy. "
            "End with a message of the user.",
            param="messages",
        )
    silent = request.tool_choice is not None and request.tool_choice.type == "none"
    tools = [ToolSpec(tool.name, tool.description or "", tool.input_schema) for tool in request.tools or ()]
    return Call(
        model=request.model,
        messages=tuple(messages),
        tools=() if silent else tuple(tools),
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_tokens,
        stream=bool(request.stream),
    )


def _read(said: _Said, place: str) -> list[Message]:
    """Read one message; results of tools, which are part of a user's message here, get messages of their own."""
    if isinstance(said.content, str):
        return [Message(said.role, said.content)]
    texts: list[Any] = []
    calls: list[ToolCall] = []
    results: list[Message] = []
    for number, block in enumerate(said.content):
        where = f"{place}.{number}"
        match (said.role, kind_of(block)):
            case (_, "text"):
                texts.append(block)
            case ("assistant", "tool_use"):
                use = validated(_ToolUse, block, where)
                calls.append(ToolCall(use.name, use.input, use.id))
            case ("user", "tool_result"):
                result = validated(_ToolResult, block, where)
                content = _joined(result.content or "", f"{where}.content")
                results.append(Message("tool", content, tool_call_id=result.tool_use_id))
            case (role, kind):
                raise Refusal(
                    400, f"{where}.type: got {kind!r} from {role}; the policy reads text and tools."
                )
    own = [Message(said.role, _joined(texts, place), tuple(calls))] if texts or calls or not results else []
    return [*results, *own]


def _joined(content: str | list[Any], place: str) -> str:
    if isinstance(content, str):
        return content
    return "".join(validated(_Text, block, f"{place}.{n}").text for n, block in enumerate(content))


def reply(call: Call, answer: Answer) -> dict[str, Any]:
    """Return the response's body."""
    return {
        **_head(answer),
        "content": _blocks(answer),
        "stop_reason": _stop_reason(answer),
        "usage": {"input_tokens": answer.prompt_tokens, "output_tokens": answer.completion_tokens},
    }


def events(call: Call, answer: Answer) -> Iterator[str]:
    """Yield the answer as server-sent events."""
    begun = {"input_tokens": answer.prompt_tokens, "output_tokens": 0}
    nothing: dict[str, Any] = {"content": [], "stop_reason": None, "usage": begun}
    yield _event("message_start", message={**_head(answer), **nothing})
    for index, block in enumerate(_blocks(answer)):
        empty, delta = _pieces(block)
        yield _event("content_block_start", index=index, content_block={**block, **empty})
        yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ended = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
    yield _event("message_delta", delta=ended, usage={"output_tokens": answer.completion_tokens})
    yield _event("message_stop")


def _pieces(block: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a block has empty as it begins, and the delta that fills it."""
    if block["type"] == "text":
        return {"text": ""}, {"type": "text_delta", "text": block["text"]}
    return {"input": {}}, {"type": "input_json_delta", "partial_json": compact(block["input"])}


def _event(kind: str, **data: Any) -> str:
    return f"event: {kind}\ndata: {compact({'type': kind, **data})}\n\n"


def _head(answer: Answer) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "stop_sequence": None,
    }


def _blocks(answer: Answer) -> list[dict[str, Any]]:
    message = answer.message
    text = [{"type": "text", "text": message.content}] if message.content or not message.tool_calls else []
    calls = [
        {"type": "tool_use", "id": made.id, "name": made.name, "input": dict(made.arguments)}
        for made in message.tool_calls
    ]
    return [*text, *calls]


def _stop_reason(answer: Answer) -> str:
    if answer.completion.finish_reason is not FinishReason.STOP:
        return "max_tokens"
    return "tool_use" if answer.message.tool_calls else "end_turn"


def problem(refusal: Refusal) -> dict[str, Any]:
    """Return the body of a refusal."""
    kind = _KINDS.get(refusal.status, "invalid_request_error" if refusal.status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": refusal.message}}


MESSAGES = WireFormat(parse, reply, events, problem)
