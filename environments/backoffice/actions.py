"""The actions: any call and any text. What cannot be done with one is said in the observation."""

from __future__ import annotations

from typing import Any

from agentgym.core.spaces import ToolCallSpace, Utf8Text
from agentgym.core.tool import ToolCall

_TEXT = Utf8Text()


class AnyCallSpace(ToolCallSpace):
    """Samples calls of the tools that fit their schemas, and contains every call and text."""

    def contains(self, x: Any) -> bool:
        """Whether `x` is a call, whatever of, or a text."""
        return isinstance(x, ToolCall) or x in _TEXT
