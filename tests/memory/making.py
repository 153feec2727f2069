"""Items for the tests."""

from typing import Any

from agentgym.core.memory import ItemKind, MemoryItem, Source
from agentgym.core.task import Split


def principle(
    name: str = "open-first", body: str = "Open a fridge before you look for things in it.", **fields: Any
) -> MemoryItem:
    return MemoryItem(ItemKind.PRINCIPLE, name, fields.pop("key_text", body), body, **fields)


def source(number: int = 0, split: Split = Split.TRAIN) -> Source:
    return Source(f"run/{split.value}-{number}", f"task-{number}", split)
