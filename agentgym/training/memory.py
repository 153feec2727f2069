"""What parts of a recipe learn over the iterations, so that it is saved and restored with the weights.

A part that sets `remembers` keeps everything it learns in `part.memory`, a dictionary of JSON values. The
trainer binds each to a dictionary here, writes them all into every checkpoint as `memory.json`, and reads
them back on resume; Python writes floats so that they are read back to the last bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from agentgym.training.parts import Part
from agentgym.training.recipe import Recipe

FILE = "memory.json"


class Memories:
    """The memories of a recipe's parts, by their place in the recipe: `advantage`, `shaping.1`."""

    def __init__(self) -> None:
        self._by_place: dict[str, dict[str, Any]] = {}

    def bind(self, recipe: Recipe) -> Recipe:
        """Return the recipe with the parts that remember bound to these memories."""
        bound = {key: self._bound(key, getattr(recipe, key)) for key in Recipe.model_fields}
        return recipe.model_copy(update=bound)

    def save(self, folder: Path) -> None:
        """Write them into a checkpoint, unless no part remembers."""
        if self._by_place:
            (folder / FILE).write_text(json.dumps(self._by_place), "utf-8")

    def load(self, folder: Path) -> None:
        """Fill them from a checkpoint; what the checkpoint does not have begins empty."""
        path = folder / FILE
        saved: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        for place, memory in self._by_place.items():
            memory.clear()
            memory.update(saved.get(place, {}))

    def _bound(self, place: str, value: Any) -> Any:
        if isinstance(value, Part) and value.remembers:
            return value.with_memory(self._by_place.setdefault(place, {}))
        if isinstance(value, tuple):
            items = cast("tuple[Any, ...]", value)
            return tuple(self._bound(f"{place}.{index}", item) for index, item in enumerate(items))
        return value
