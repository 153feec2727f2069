"""Calls as the benchmark writes them, such as `mv(source='a', destination='b')`, and as tool calls."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from agentgym.core.errors import TaskError
from agentgym.core.tool import ToolCall, ToolSpec

_TYPES = {"dict": "object", "float": "number", "tuple": "array"}
"""Names of types in the benchmark's documentation that JSON Schema calls otherwise."""


def parse_call(text: str, parameters: Mapping[str, Sequence[str]]) -> ToolCall:
    """Read one call of a documented function with literal arguments; nothing is evaluated.

    `parameters` has the names of each function's parameters in order, for arguments given by position. Raises
    `TaskError` for anything else than such a call.
    """
    try:
        node = ast.parse(text, mode="eval").body
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            positional = dict(zip(parameters[name], map(ast.literal_eval, node.args), strict=False))
            named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
            return ToolCall(name, {**positional, **named})
    except (SyntaxError, ValueError, KeyError):
        pass
    raise TaskError(f"{text!r} is no call of one of BFCL's functions with literal arguments.")


def write_call(call: ToolCall) -> str:
    """Return a call as the benchmark writes it.

    >>> write_call(ToolCall("mv", {"source": "a", "destination": "b"}))
    "mv(source='a',destination='b')"
    """
    return f"{call.name}({','.join(f'{name}={value!r}' for name, value in call.arguments.items())})"


def tool_spec(doc: Mapping[str, Any]) -> ToolSpec:
    """Return the tool that a function's documentation describes, with its schema in JSON Schema's terms."""
    return ToolSpec(doc["name"], doc["description"], _schema(doc["parameters"]))


def _schema(doc: Mapping[str, Any]) -> dict[str, Any]:
    schema = dict(doc)
    schema["type"] = _TYPES.get(doc["type"], doc["type"])
    if "properties" in doc:
        schema["properties"] = {name: _schema(each) for name, each in doc["properties"].items()}
    if "items" in doc:
        schema["items"] = _schema(doc["items"])
    return schema
