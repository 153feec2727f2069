"""The form of each kind of item: what every reader of it may rely on."""

from __future__ import annotations

from typing import cast

from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.memory import ItemKind, MemoryItem
from agentgym.memory.skills.document import front_of
from agentgym.memory.tools.document import spec_of
from agentgym.memory.tools.inspecting import arguments_read

MAX_PRINCIPLE = 2048
"""Characters of a principle: it is one rule, and shown with others."""


def form_problem(item: MemoryItem) -> str:
    """Return what is wrong with an item's form; empty: nothing.

    Every item has something to be found by and something to be shown. Skills and tools can be written as directories
    of the standard; a tool's schema is a JSON Schema, and its code reads no argument that the schema lacks.
    """
    for name, text in (("key_text", item.key_text), ("body", item.body)):
        if not text.strip():
            return f"its {name} is empty, so that it cannot be {'found' if name == 'key_text' else 'shown'}"
    try:
        if item.kind in (ItemKind.SKILL, ItemKind.TOOL):
            front_of(item)
        if item.kind is ItemKind.TOOL:
            return _tool_problem(item)
    except UsageError as error:
        return str(error)
    if item.kind is ItemKind.PRINCIPLE and len(item.body) > MAX_PRINCIPLE:
        return f"a principle has at most {MAX_PRINCIPLE} characters, this one {len(item.body)}"
    return ""


def _tool_problem(item: MemoryItem) -> str:
    try:
        from jsonschema import Draft202012Validator, SchemaError
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Checking tools needs {error.name}: pip install 'agentgym-harness[sandbox]'"
        ) from error
    schema = spec_of(item).input_schema
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        return f"its inputSchema is no JSON Schema: {error.message:.200}"
    unknown = sorted(arguments_read(item) - set(cast("dict[str, object]", schema.get("properties", {}))))
    if unknown:
        return f"its code reads the argument {unknown[0]!r}, which is none of the inputSchema's properties"
    return ""
