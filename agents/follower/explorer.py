"""Trying things out: what an agent without a model does where it knows nothing better."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from agentgym.core.tool import ToolCall, ToolSpec

_WORD = re.compile(r"[A-Za-z]+")
_TOKEN = re.compile(r"[\w@-]+(?:[.:]\w+)*")


class Explorer:
    """Chooses at random: rather what it has not done, and what has words in common with the task."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._done: Counter[str] = Counter()

    def command(self, actions: Sequence[str], wish: str) -> str:
        """Return one of the actions that are possible; weight (1 + 5 · shared words) / (1 + times done)²."""
        wanted = _words(wish)
        weights = [
            (1 + 5 * len(wanted & _words(action))) / (1 + self._done[action]) ** 2 for action in actions
        ]
        (chosen,) = self._rng.choices(actions, weights)
        self._done[chosen] += 1
        return chosen

    def call(self, tools: Sequence[ToolSpec], wish: str, fields: Mapping[str, str]) -> ToolCall:
        """Return a call of one of the tools, the same one again only where nothing else comes up."""
        wanted = _words(wish)
        weights = [1 + 2 * len(wanted & _words(f"{tool.name} {tool.description}")) for tool in tools]
        call = ToolCall("", {})
        for _ in range(8):
            (tool,) = self._rng.choices(tools, weights)
            call = ToolCall(tool.name, self._arguments(tool, wish, fields))
            if not self._done[str(call)]:
                break
        self._done[str(call)] += 1
        return call

    def _arguments(self, tool: ToolSpec, wish: str, fields: Mapping[str, str]) -> dict[str, Any]:
        schema: Mapping[str, Any] = tool.input_schema
        properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
        required = schema.get("required", list(properties))
        return {
            name: cast_to(properties[name], self._value(name, wish, fields))
            for name in properties
            if name in required
        }

    def _value(self, name: str, wish: str, fields: Mapping[str, str]) -> str:
        """Return what an argument may be: what stands beside its name in the wish, else any figure or field."""
        tokens = _TOKEN.findall(wish)
        part = name.removesuffix("_id").replace("_", " ").lower()
        for before, token in pairwise(tokens):
            if before.lower() == part and self._rng.random() < 0.8:
                return token
        told = [token for token in tokens if any(c.isdigit() for c in token)]
        seen = [fields[key] for key in sorted(fields)]
        return self._rng.choice(told + seen if name.endswith("_id") and told else seen + told or tokens)


def cast_to(schema: Mapping[str, Any], value: str) -> Any:
    """Return a text as the type that a schema wants, where it can be."""
    if schema.get("type") in ("integer", "number"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in map(str.lower, _WORD.findall(text)) if len(word) > 2)
