"""OpenAI's responses: `POST /v1/responses`, without state on the server: each request brings its whole input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from pydantic import Field

from agentgym.core.message import Message
from agentgym.core.policy import FinishReason
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.serving.problems import Refusal
from agentgym.serving.wire.call import Answer, Call, WireFormat
from agentgym.serving.wire.fields import (
    Body,
    Unsupported,
    arguments_of,
    compact,
    kind_of,
    read_body,
    read_message,
    validated,
)
from agentgym.serving.wire.openai_shared import HINTS, UNSUPPORTED, offered, problem

_HINTS = HINTS | {"reasoning", "include", "stream_options", "truncation"}
_WHOLE_INPUT = "nothing is kept between calls: send the whole conversation as `input`"
_UNSUPPORTED = UNSUPPORTED | {
    "previous_response_id": Unsupported((), _WHOLE_INPUT),
    "conversation": Unsupported((), _WHOLE_INPUT),
    "prompt": Unsupported((), "there are no stored prompts: send the text as `instructions`"),
    "background": Unsupported((False,), "a call is answered on its own connection"),
    "context_management": Unsupported(([],), "shorten the conversation yourself"),
    "max_tool_calls": Unsupported((), "count the calls yourself"),
    "text": Unsupported(
        ({}, {"format": {"type": "text"}}), "answers are not constrained to a format: offer a tool"
    ),
}


class _Tool(Body):
    type: Literal["function"]
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: bool | None = None

    def spec(self) -> ToolSpec:
        """Return the tool as the policy is shown it."""
        schema = self.parameters or {"type": "object", "properties": {}}
        return ToolSpec(self.name, self.description or "", schema)


class _Request(Body):
    model: str
    input: str | list[Any]
    instructions: str | None = None
    tools: list[_Tool] | None = None
    tool_choice: Any = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    stream: bool | None = None


class _FunctionCall(Body):
    type: Literal["function_call"]
    call_id: str
    name: str = Field(min_length=1)
    arguments: str
    id: str | None = None
    status: str | None = None


class _FunctionOutput(Body):
    type: Literal["function_call_output"]
    call_id: str
    output: str | list[Any]
    id: str | None = None
    status: str | None = None


def parse(body: Mapping[str, Any]) -> Call:
    """Read a request; raises `Refusal`."""
    request = read_body(_Request, body, _HINTS, _UNSUPPORTED)
    messages = [Message("system", request.instructions)] if request.instructions else []
    if isinstance(request.input, str):
        messages.append(Message("user", request.input))
    else:
        for place, item in enumerate(request.input):
            _add_item(messages, item, f"input[{place}]")
    if not messages:
        raise Refusal(400, "input: it is empty; give a text or items.", param="input")
    return Call(
        model=request.model,
        messages=tuple(messages),
        tools=offered([tool.spec() for tool in request.tools or ()], request.tool_choice),
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_output_tokens,
        stream=bool(request.stream),
    )


def _add_item(messages: list[Message], item: Any, place: str) -> None:
    """Add an input item to the conversation. The items of one answer become one message again."""
    kind = kind_of(item, "message")
    match kind:
        case "message":
            said = read_message({**item, "content": _text(item.get("content"), place)}, place)
            if said.role == "assistant" and messages and messages[-1].role == "assistant":
                last = messages.pop()
                said = Message("assistant", last.content + said.content, last.tool_calls)
            messages.append(said)
        case "function_call":
            call = validated(_FunctionCall, item, place)
            made = ToolCall(call.name, arguments_of(call.arguments, place), call.call_id)
            last = (
                messages.pop() if messages and messages[-1].role == "assistant" else Message("assistant", "")
            )
            messages.append(Message("assistant", last.content, (*last.tool_calls, made)))
        case "function_call_output":
            result = validated(_FunctionOutput, item, place)
            messages.append(Message("tool", _text(result.output, place), tool_call_id=result.call_id))
        case "reasoning":  # another model's: the policy's own answers have none
            return
        case _:
            raise Refusal(
                400, f"{place}.type: got {kind!r}; the policy reads texts and function calls.", param=place
            )


def _text(content: Any, place: str) -> Any:
    """Return content whose parts are the kinds that chat completions know."""
    if not isinstance(content, list):
        return content
    parts: list[Any] = []
    for part in cast("list[Any]", content):
        match part:
            case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
                parts.append(text)
            case {"type": "refusal", "refusal": str(text)}:
                parts.append(text)
            case _:
                raise Refusal(
                    400, f"{place}.content: got {part!r:.80}; the policy reads text only.", param=place
                )
    return "".join(parts)


def reply(call: Call, answer: Answer) -> dict[str, Any]:
    """Return the response's body."""
    whole = answer.completion.finish_reason is FinishReason.STOP
    return {
        **_head(call, answer),
        "status": "completed" if whole else "incomplete",
        "incomplete_details": None if whole else {"reason": "max_output_tokens"},
        "output": _items(answer),
        "usage": _usage(answer),
    }


def events(call: Call, answer: Answer) -> Iterator[str]:
    """Yield the answer as server-sent events."""
    done = reply(call, answer)
    begun: dict[str, Any] = {
        **_head(call, answer),
        "status": "in_progress",
        "incomplete_details": None,
        "output": [],
        "usage": None,
    }
    steps: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(done["output"]):
        place = {"output_index": index, "item_id": item["id"]}
        steps += _message_steps(item, place) if item["type"] == "message" else _call_steps(item, place)
    steps.append({"type": f"response.{done['status']}", "response": done})
    for number, step in enumerate(steps):
        yield f"event: {step['type']}\ndata: {compact({**step, 'sequence_number': number})}\n\n"


def _message_steps(item: dict[str, Any], place: dict[str, Any]) -> list[dict[str, Any]]:
    (part,) = item["content"]
    part_place = {**place, "content_index": 0}
    return [
        _item_step("added", place, {**item, "status": "in_progress", "content": []}),
        {"type": "response.content_part.added", **part_place, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", **part_place, "delta": part["text"], "logprobs": []},
        {"type": "response.output_text.done", **part_place, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **part_place, "part": part},
        _item_step("done", place, item),
    ]


def _call_steps(item: dict[str, Any], place: dict[str, Any]) -> list[dict[str, Any]]:
    arguments = item["arguments"]
    return [
        _item_step("added", place, {**item, "status": "in_progress", "arguments": ""}),
        {"type": "response.function_call_arguments.delta", **place, "delta": arguments},
        {
            "type": "response.function_call_arguments.done",
            **place,
            "name": item["name"],
            "arguments": arguments,
        },
        _item_step("done", place, item),
    ]


def _item_step(event: str, place: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    return {"type": f"response.output_item.{event}", "output_index": place["output_index"], "item": item}


def _head(call: Call, answer: Answer) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": answer.created,
        "model": answer.model,
        "error": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": call.temperature,
        "top_p": call.top_p,
        "tool_choice": "auto",
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.input_schema),
                "strict": False,
            }
            for tool in call.tools
        ],
    }


def _items(answer: Answer) -> list[dict[str, Any]]:
    message = answer.message
    items: list[dict[str, Any]] = []
    if message.content or not message.tool_calls:
        part: dict[str, Any] = {
            "type": "output_text",
            "text": message.content,
            "annotations": [],
            "logprobs": [],
        }
        head = {"type": "message", "id": f"msg_{answer.id}", "role": "assistant", "status": "completed"}
        items.append({**head, "content": [part]})
    items += [
        {
            "type": "function_call",
            "id": f"fc_{answer.id}_{index}",
            "call_id": made.id,
            "name": made.name,
            "arguments": compact(dict(made.arguments)),
            "status": "completed",
        }
        for index, made in enumerate(message.tool_calls)
    ]
    return items


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


RESPONSES = WireFormat(parse, reply, events, problem)
