"""Gymnasium spaces for text and tool calls, with a `contains` that really checks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agentgym.core.errors import UsageError, unknown_name_message
from agentgym.core.tool import ToolCall, ToolSpec

_SAMPLE_ALPHABET = np.array(list("abcdefghijklmnopqrstuvwxyz 0123456789"))


class Utf8Text(gym.Space[str]):
    """Any string that encodes as UTF-8 in at most `max_bytes` bytes (so: no lone surrogates).

    Unlike Gymnasium's `Text` it has no character set to enumerate.
    """

    def __init__(self, max_bytes: int = 1 << 20, seed: int | np.random.Generator | None = None) -> None:
        if max_bytes < 1:
            raise UsageError(f"Utf8Text needs max_bytes of at least 1, got {max_bytes}.")
        self.max_bytes = max_bytes
        super().__init__(None, None, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed-size array form."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Return a short random text of letters, digits and spaces."""
        length = int(self.np_random.integers(1, min(self.max_bytes, 32) + 1))
        return "".join(self.np_random.choice(_SAMPLE_ALPHABET, size=length))

    def contains(self, x: Any) -> bool:
        """Return whether `x` is a `str` that encodes within `max_bytes`."""
        if not isinstance(x, str):
            return False
        try:
            return len(x.encode("utf-8")) <= self.max_bytes
        except UnicodeEncodeError:
            return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Utf8Text) and other.max_bytes == self.max_bytes

    def __hash__(self) -> int:
        return hash((Utf8Text, self.max_bytes))

    def __repr__(self) -> str:
        return f"Utf8Text(max_bytes={self.max_bytes})"

    def to_jsonable(self, sample_n: Iterable[str]) -> list[Any]:
        """Strings are JSON already."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """Strings are JSON already."""
        return [str(sample) for sample in sample_n]


class ToolCallSpace(gym.Space[ToolCall]):
    """Calls of the given tools whose arguments have the types and required fields of the tool's schema."""

    def __init__(self, tools: Sequence[ToolSpec], seed: int | np.random.Generator | None = None) -> None:
        if not tools:
            raise UsageError("ToolCallSpace needs at least one tool.")
        self.tools = {tool.name: tool for tool in tools}
        super().__init__(None, None, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Tool calls have no fixed-size array form."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> ToolCall:
        """Return a random call with every required argument."""
        names = sorted(self.tools)
        spec = self.tools[names[int(self.np_random.integers(len(names)))]]
        properties: Mapping[str, Any] = spec.input_schema.get("properties", {})
        required = spec.input_schema.get("required", ())
        return ToolCall(spec.name, {name: self._sample_value(properties.get(name, {})) for name in required})

    def contains(self, x: Any) -> bool:
        """Return whether `x` calls a known tool with well-typed, complete and known arguments."""
        return isinstance(x, ToolCall) and self.problem(x) is None

    def problem(self, call: ToolCall) -> str | None:
        """Return what is wrong with a call, in words that its author can act on; None where nothing is."""
        if call.name not in self.tools:
            return unknown_name_message("tool", call.name, self.tools)
        schema = self.tools[call.name].input_schema
        properties: Mapping[str, Any] = schema.get("properties", {})
        for name in schema.get("required", ()):
            if name not in call.arguments:
                return f"The argument {name!r} of {call.name} is missing."
        for name, value in call.arguments.items():
            if name not in properties and schema.get("additionalProperties") is False:
                return unknown_name_message(f"argument of {call.name}", name, properties)
            if not _has_type(value, properties.get(name, {})):
                return f"The argument {name!r} of {call.name} must fit {json.dumps(properties[name])}."
        return None

    def _sample_value(self, schema: Mapping[str, Any]) -> Any:
        if schema.get("enum"):
            return schema["enum"][int(self.np_random.integers(len(schema["enum"])))]
        samples: dict[str, Any] = {
            "integer": int(self.np_random.integers(100)),
            "number": float(self.np_random.random()),
            "boolean": bool(self.np_random.integers(2)),
            "array": [],
            "object": {},
            "null": None,
        }
        return samples.get(schema.get("type", "string"), self._word())

    def _word(self) -> str:
        letters: NDArray[np.str_] = self.np_random.choice(_SAMPLE_ALPHABET[:26], size=6)
        return "".join(letters)


class DialogueSpace(ToolCallSpace):
    """Whatever an agent with tools may say: any text, and any call whose arguments are JSON data.

    For worlds that answer a call which cannot be made, as an API would, and talk with their agent besides. Samples
    are calls of the given tools.
    """

    def contains(self, x: Any) -> bool:
        """Return whether `x` is text that encodes as UTF-8, or a call that can be written as JSON."""
        if not isinstance(x, ToolCall):
            return Utf8Text().contains(x)
        try:
            text = json.dumps([x.name, dict(x.arguments)], ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            return False
        return Utf8Text().contains(text)


_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}


def _has_type(value: Any, schema: Mapping[str, Any]) -> bool:
    if "enum" in schema and value not in schema["enum"]:
        return False
    expected = schema.get("type")
    if expected is None:
        return True
    names = [expected] if isinstance(expected, str) else list(expected)
    if isinstance(value, bool):  # JSON's booleans are not numbers
        return "boolean" in names
    return any(isinstance(value, _JSON_TYPES.get(name, ())) for name in names)
