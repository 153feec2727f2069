"""Tool calls in the text of an answer, as the chat templates of Qwen and Hermes have them.

A call is `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, with any white space that JSON allows.
An answer may hold several, with text around them.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from agentgym.core.message import Message
from agentgym.core.tool import ToolCall

_OPEN = re.compile(r"<tool_call>\s*(?=\{)")
_CLOSE = re.compile(r"\s*</tool_call>")
_JSON = json.JSONDecoder()


def write_call(call: ToolCall) -> str:
    """Return the shortest text that `parse_answer` reads as `call`.

    >>> write_call(ToolCall("look", {"at": "desk"}))
    '<tool_call>{"name": "look", "arguments": {"at": "desk"}}</tool_call>'
    """
    return f"<tool_call>{dump_json({'name': call.name, 'arguments': dict(call.arguments)})}</tool_call>"


def parse_answer(text: str, source: str) -> Message:
    """Read the calls out of an answer; never raises.

    The message's content is the text around them, stripped; where there are no calls it is `text` as it is. What
    only looks like a call (other JSON, JSON that cannot be written again such as an infinite number, no end)
    is content. The ids of the calls are hashes of the answer and of `source`, which says where in a conversation it
    stands: the same play has the same ids.

    >>> message = parse_answer('Now. <tool_call>{"name": "look", "arguments": {}}</tool_call>', "after 7 tokens")
    >>> message.content, message.tool_calls[0].name
    ('Now.', 'look')
    >>> parse_answer("<tool_call>look</tool_call>", "").content
    '<tool_call>look</tool_call>'
    """
    calls: list[ToolCall] = []
    around: list[str] = []
    place = 0
    for opening in _OPEN.finditer(text):
        if opening.start() < place:  # inside the call before it
            continue
        value, end = _json_at(text, opening.end())
        closing = _CLOSE.match(text, end)
        if closing is None or not _is_call(value):
            continue
        calls.append(ToolCall(value["name"], value["arguments"], _call_id(source, text, len(calls))))
        around.append(text[place : opening.start()])
        place = closing.end()
    if not calls:
        return Message("assistant", text)
    return Message("assistant", "".join([*around, text[place:]]).strip(), tuple(calls))


def dump_json(value: Any) -> str:
    """Return JSON as chat templates write it: on one line, letters of any script as they are."""
    return json.dumps(value, ensure_ascii=False)


def _json_at(text: str, place: int) -> tuple[Any, int]:
    """Return the JSON value that begins at `place` and where it ends; None where there is none."""
    try:
        return _JSON.raw_decode(text, place)
    except (ValueError, RecursionError):
        return None, place


def _is_call(value: Any) -> bool:
    match value:
        case {"name": str(name), "arguments": dict(arguments), **others}:  # pyright: ignore[reportUnknownVariableType]
            return bool(name) and not others and _can_be_written(name, arguments)
        case _:
            return False


def _can_be_written(*values: Any) -> bool:
    """Whether the values are JSON in UTF-8: Python's reader takes NaN, 1e999 and lone surrogates too."""
    try:
        return bool(json.dumps(values, ensure_ascii=False, allow_nan=False).encode())
    except ValueError:
        return False


def _call_id(source: str, text: str, index: int) -> str:
    data = f"{source}\n{index}\n{text}".encode("utf-8", "surrogatepass")
    return f"call_{hashlib.blake2b(data, digest_size=12).hexdigest()}"
