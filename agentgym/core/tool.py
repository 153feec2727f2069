"""Tools, in MCP's shape: what an environment offers besides plain text commands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool: `input_schema` is a JSON Schema object (MCP's `inputSchema`)."""

    name: str
    description: str
    input_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})

    def to_openai(self) -> dict[str, Any]:
        """Return the entry for the `tools` list of an OpenAI chat request."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.input_schema)}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the agent wants made; `id` ties the result to it."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""

    def __str__(self) -> str:
        """Return what is called with what, without the id: equal calls read alike."""
        return f"{self.name}({json.dumps(dict(self.arguments), sort_keys=True, ensure_ascii=False)})"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call."""

    call_id: str
    content: str
    is_error: bool = False
