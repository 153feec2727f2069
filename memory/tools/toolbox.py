"""`Toolbox`: a memory whose tools can be called; implements `agentgym.core.memory.Memory`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentgym.core.agent import EpisodeStart
from agentgym.core.memory import ItemKind, Memory, MemoryItem, Recollection
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Versions
from agentgym.memory.scan import scan
from agentgym.memory.store.entries import sees
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.document import spec_of
from agentgym.memory.tools.runner import ToolCaller

MAX_ANSWER = 4000
"""Characters of an answer that an agent is told."""


class Toolbox:
    """Another memory's recollections, and the tools of its snapshot as tools that the agent can call.

    Each call runs in a sandbox of its own. Offered are the tools that an agent in `space` sees; tools in which a scan
    finds something are left out, and of two with one name that of the nearer space is offered. Agents call tools
    where their world has tools too.
    """

    def __init__(
        self,
        memory: Memory,
        store: MemoryStore,
        caller: ToolCaller,
        *,
        space: str = "",
        kinds: Collection[ItemKind] = tuple(ItemKind),
    ) -> None:
        """Open the tools of the state that `memory` shows, by its `versions.memory`; none unless tools are of the
        `kinds` that it shows."""
        self._memory = memory
        self._caller = caller
        state = memory.versions.memory if ItemKind.TOOL in kinds else ""
        items = store.get_all(store.snapshot(state)).values() if state else ()
        seen = [
            item
            for item in items
            if item.kind is ItemKind.TOOL and sees(space, item.space) and not scan(item)
        ]
        self._items: dict[str, MemoryItem] = {
            item.name: item for item in sorted(seen, key=lambda item: (len(item.space), item.version))
        }
        self.held: Sequence[ToolSpec] = [spec_of(item) for _, item in sorted(self._items.items())]
        """The tools that are items of the memory, by name."""

    @property
    def versions(self) -> Versions:
        """Those of the memory."""
        return self._memory.versions

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """Those of the memory, and the tools that it holds."""
        return (*self._memory.tools, *self.held)

    async def recall(self, start: EpisodeStart, situation: str) -> Recollection:
        """Return what the memory shows, and say which tools chance has withheld with the rest."""
        found = await self._memory.recall(start, situation)
        barred = [name for name, item in sorted(self._items.items()) if item.version in found.withheld]
        return replace(found, barred=tuple(barred)) if barred else found

    async def call(self, start: EpisodeStart, name: str, arguments: Mapping[str, Any]) -> Recollection:
        """Run a tool and return its answer as JSON, or what went wrong in words."""
        item = self._items.get(name)
        if item is None or (item.env_id and item.env_id != start.task.env_id):
            return await self._memory.call(start, name, arguments)
        answer = await self._caller.call(item, arguments)
        text = json.dumps(answer.value, ensure_ascii=False) if answer.ok else answer.problem
        if len(text) > MAX_ANSWER:
            text = f"{text[:MAX_ANSWER]} [… {len(text) - MAX_ANSWER} characters left out]"
        return Recollection(text, (item.version,))
