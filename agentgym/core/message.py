"""Chat messages as plain data, in OpenAI's shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentgym.core.tool import ToolCall

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. `tool_call_id` is set on the answers to tool calls only."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    def to_openai(self) -> dict[str, Any]:
        """Return the message as OpenAI's API and transformers' chat templates take it."""
        data: dict[str, Any] = {"role": self.role, "content": self.content}
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
    def from_openai(cls, data: Mapping[str, Any]) -> Message:
        """Read a message from OpenAI's shape; the inverse of `to_openai`."""
        calls = tuple(
            ToolCall(call["function"]["name"], json.loads(call["function"]["arguments"]), call["id"])
            for call in data.get("tool_calls") or ()
        )
        return cls(data["role"], data.get("content") or "", calls, data.get("tool_call_id"))
