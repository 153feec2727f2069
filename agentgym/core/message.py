"""Chat messages as plain data, in OpenAI's shape."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from agentgym.core.errors import UsageError, unknown_name_message
from agentgym.core.tool import ToolCall

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. `tool_call_id` is set on the answers to tool calls only.

    `images` are pictures that belong to the text, as `data:` URLs (RFC 2397).
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    images: tuple[str, ...] = ()

    def to_openai(self) -> dict[str, Any]:
        """Return the message as OpenAI's API and transformers' chat templates take it."""
        data: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.images:
            shown = [{"type": "image_url", "image_url": {"url": image}} for image in self.images]
            data["content"] = [{"type": "text", "text": self.content}, *shown]
        if self.tool_calls:
            data["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
                }
                for call in self.tool_calls
            ]
        if self.tool_call_id is not None:
            data["tool_call_id"] = self.tool_call_id
        return data

    @classmethod
    def from_openai(cls, data: Mapping[str, Any], *, images: bool = False) -> Message:
        """Read a message from OpenAI's shape, as real clients write it; the inverse of `to_openai`.

        The content may be null or a list of text parts, which are joined; the arguments of a call JSON text or
        an object; the role `developer` is what `system` was called before. Unknown fields are left alone. Image
        parts are read where `images` says so, and refused elsewhere. Raises `UsageError` naming the field for anything else.
        """
        role = {"developer": "system"}.get(str(data.get("role")), data.get("role"))
        if role not in _ROLES:
            raise UsageError(f"role: {unknown_name_message('role', str(role), _ROLES)}")
        calls = data.get("tool_calls") or ()
        if not isinstance(calls, list | tuple):
            raise _wrong("tool_calls", calls, "a list of calls")
        answers = data.get("tool_call_id")
        if answers is not None and not isinstance(answers, str):
            raise _wrong("tool_call_id", answers, "the id of the call that this answers")
        content, shown = _read_content(data.get("content"), images)
        listed = cast("Sequence[Any]", calls)
        return cls(role, content, tuple(_read_call(n, call) for n, call in enumerate(listed)), answers, shown)


_ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


def _read_content(content: Any, images: bool) -> tuple[str, tuple[str, ...]]:
    """Return the text and the images."""
    if content is None or isinstance(content, str):
        return content or "", ()
    if not isinstance(content, list):
        raise _wrong("content", content, "a text, null or a list of text parts")
    texts, shown = list[str](), list[str]()
    for n, part in enumerate(cast("list[Any]", content)):
        match part:
            case {"type": "image_url", "image_url": {"url": str(url)}} if images:
                shown.append(url)
            case _:
                texts.append(_read_part(n, part))
    return "".join(texts), tuple(shown)


def _read_part(number: int, part: Any) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": str(kind)} if kind != "text":
            raise UsageError(f"content[{number}].type: only text parts are read here, got {kind!r}.")
        case _:
            raise _wrong(f"content[{number}]", part, 'a part such as {"type": "text", "text": "Hello."}')


def _read_call(number: int, call: Any) -> ToolCall:
    place = f"tool_calls[{number}]"
    match call:
        case {"function": {"name": str(name), **function}}:  # pyright: ignore[reportUnknownVariableType]
            arguments = _read_arguments(f"{place}.function.arguments", function.get("arguments"))
        case _:
            raise _wrong(
                place, call, 'a call such as {"id": "1", "function": {"name": "look", "arguments": "{}"}}'
            )
    name_of_call: Any = call.get("id")
    if name_of_call is not None and not isinstance(name_of_call, str):
        raise _wrong(f"{place}.id", name_of_call, "a text")
    return ToolCall(name, arguments, name_of_call or "")


def _read_arguments(place: str, written: Any) -> dict[str, Any]:
    value: Any = written
    if isinstance(written, str):
        try:
            value = json.loads(written) if written.strip() else {}
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{place}: not JSON ({error}); got {written!r:.80}.") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(place, written, "a JSON object, or the text of one")
    return cast("dict[str, Any]", value)


def _wrong(place: str, got: object, wanted: str) -> UsageError:
    return UsageError(f"{place}: expected {wanted}, got {got!r:.80}.")
