"""Searching with a tool: a follower asks which of the places at hand to try first, if its memory has a tool for that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from agentgym.agents.remembering import Remembrance

INPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "thing": {"type": "string", "description": "What is looked for."},
        "places": {"type": "array", "items": {"type": "string"}, "description": "Where it may be."},
    },
    "required": ["thing", "places"],
}
OUTPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"places": {"type": "array", "items": {"type": "string"}}},
    "required": ["places"],
}
"""Of a tool that sorts places, the best first: a follower uses any that is shown and takes and gives this."""


class Searcher:
    """Ranks places by the tool that an episode's memory shows, where it shows one."""

    def __init__(self, notes: Remembrance, shown: str) -> None:
        """Look for the tool among those of the memory; only one that `shown`, the memory's block, names is used."""
        self._notes = notes
        self._tool = next(
            (
                tool.name
                for tool in notes.tools
                if f'kind="tool" name="{tool.name}"' in shown
                and dict(tool.input_schema.get("properties", {})).keys() == {"thing", "places"}
            ),
            None,
        )
        self._ranks: dict[str, int] = {}

    def forget(self) -> None:
        """Begin to look for something else."""
        self._ranks = {}

    async def best(self, thing: str, places: Sequence[str]) -> int | None:
        """Return the place among `places` to try first; None where there is no tool, or no answer in its form."""
        if self._tool is None:
            return None
        if not set(places) <= set(self._ranks):
            told = await self._notes.call(self._tool, {"thing": thing, "places": list(places)})
            self._ranks = {place: rank for rank, place in enumerate(_read(told))}
        if not set(places) <= set(self._ranks):
            self._tool = None  # it does not do what it says
            return None
        return min(range(len(places)), key=lambda each: self._ranks[places[each]])


def _read(told: str) -> list[str]:
    try:
        answer: Any = json.loads(told)
    except ValueError:
        return []
    listed: Any = cast("dict[str, Any]", answer).get("places") if isinstance(answer, dict) else None
    return [str(place) for place in cast("list[Any]", listed)] if isinstance(listed, list) else []
