"""Tools: functions on a database with a schema for their arguments, and what is said of wrong calls."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentgym.core.errors import did_you_mean
from agentgym.core.spaces import Utf8Text
from agentgym.core.tool import ToolSpec
from agentgym.environments.backoffice.desk import Refused

Schema: TypeAlias = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 1, "maximum": 1000}
AMOUNT: Schema = {"type": "number", "minimum": 0, "maximum": 1000000}
DAY: Schema = {"type": "string", "pattern": r"\d{4}-\d\d-\d\d", "description": "such as 2026-03-31"}
TIME: Schema = {"type": "string", "pattern": r"\d\d:\d\d", "description": "such as 14:30"}

_LONGEST_TEXT = 2000
_UTF8 = Utf8Text()
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
}
_NOUNS = {"string": "a text", "integer": "a whole number", "number": "a number", "array": "a list"}


def one_of(*values: str) -> Schema:
    """Return the schema of an argument with few values."""
    return {"type": "string", "enum": list(values)}


@dataclass(frozen=True, slots=True)
class Tool:
    """What can be called: `run(desk, **arguments)` returns JSON data or raises `Refused`."""

    name: str
    description: str
    properties: Mapping[str, Schema]
    required: tuple[str, ...]
    run: Callable[..., Any]

    def spec(self) -> ToolSpec:
        """Return the tool as agents are offered it."""
        schema = {
            "type": "object",
            "properties": {name: dict(each) for name, each in self.properties.items()},
            "required": list(self.required),
            "additionalProperties": False,
        }
        return ToolSpec(self.name, self.description, schema)


def tool(**properties: Schema) -> Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a function: its docstring describes it; parameters with a default may be left out."""

    def make(function: Callable[..., Any]) -> Tool:
        parameters = list(inspect.signature(function).parameters.values())[1:]  # the first is the database
        if [each.name for each in parameters] != list(properties):
            raise TypeError(
                f"{function.__name__} takes {parameters}, but has schemas for {list(properties)}."
            )
        required = tuple(each.name for each in parameters if each.default is inspect.Parameter.empty)
        return Tool(function.__name__, inspect.getdoc(function) or "", properties, required, function)

    return make


def must_fit(spec: ToolSpec, arguments: Mapping[str, Any]) -> None:
    """Raise `Refused` for arguments that a tool cannot be called with: which, what was expected, what was meant."""
    properties: Mapping[str, Schema] = spec.input_schema["properties"]
    required: Sequence[str] = spec.input_schema["required"]
    unknown = [name for name in arguments if name not in properties]
    missing = [name for name in required if name not in arguments]
    takes = f"It takes {', '.join(properties)}." if properties else "It takes no arguments."
    if unknown:
        near = did_you_mean(str(unknown[0]), missing or properties)
        raise Refused(f"{spec.name} has no argument {_short(unknown[0])}.{near} {takes}")
    if missing:
        wanted = f"{missing[0]!r} ({expected(properties[missing[0]])})"
        raise Refused(f"{spec.name} needs the argument {wanted}. {takes}")
    for name, value in arguments.items():
        schema = properties[name]
        if not _fits(value, schema):
            near = did_you_mean(value, schema["enum"]) if "enum" in schema and isinstance(value, str) else ""
            raise Refused(
                f"The argument {name!r} of {spec.name} must be {expected(schema)}, got {_short(value)}.{near}"
            )


def expected(schema: Schema) -> str:
    """Return in words what an argument takes.

    >>> expected(one_of("cash", "card"))
    "one of 'cash', 'card'"
    """
    if "enum" in schema:
        return f"one of {', '.join(map(repr, schema['enum']))}"
    words = _NOUNS[schema["type"]]
    if "minimum" in schema:
        words += f" from {schema['minimum']} to {schema['maximum']}"
    return f"{words} {schema['description']}" if "description" in schema else words


def _fits(value: Any, schema: Schema) -> bool:
    if isinstance(value, bool) or not isinstance(value, _KINDS[schema["type"]]):
        return False
    if isinstance(value, str):
        fits = len(value) <= _LONGEST_TEXT and value in schema.get("enum", (value,)) and value in _UTF8
        return fits and re.fullmatch(schema.get("pattern", ".*"), value, re.DOTALL) is not None
    if isinstance(value, int | float):
        return schema["minimum"] <= value <= schema["maximum"]
    return all(isinstance(each, str) for each in value)


def _short(value: Any) -> str:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = repr(type(value).__name__)
    return text if len(text) <= 60 else f"{text[:57]}..."
