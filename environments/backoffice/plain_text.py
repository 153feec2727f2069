"""What is said to an agent that writes text where a call of a tool was needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

_ADVICE = "Nobody reads it. Call one of your tools"


def teach(text: str, reply: str, tools: Sequence[str]) -> str:
    """Return what was wrong with a text given as an action, and what to do; `reply` is the tool for speaking.

    >>> teach("Hello!", "reply", ["look", "reply"])
    'Error: That is text, not a call. Nobody reads it. Call one of your tools: look, reply. To speak to the user, \
call reply.'
    """
    what = _what_is(text.strip())
    return f"Error: {what} {_ADVICE}: {', '.join(tools)}. To speak to the user, call {reply}."


def _what_is(text: str) -> str:
    if not text:
        return "That is empty."
    calls = text.count("<tool_call>")
    if calls == 1:
        return 'That looks like a call, but is not {"name": ..., "arguments": {...}} in valid JSON.'
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    calls = max(calls, len(cast(list[Any], value)) if isinstance(value, list) else 0)
    if calls > 1:
        return f"Those are {calls} calls at once, and none was run: make one call at a time."
    if isinstance(value, dict):
        return "That is a call written as text, and was not run: make it as a call."
    return "That is text, not a call."
