"""Tools in batches: written side by side, each through the gate, and those that do the same made into one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind, ItemStatus, MemoryItem, Provenance
from agentgym.evolution.gate.gate import Admission, Gate
from agentgym.evolution.gate.merging import IN_USE, Merge, Merger, merge_tools
from agentgym.memory.store.entries import current, sees
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.writing import ToolRequest, ToolWriter

ATTEMPTS = 3
"""Tools that are written for one need: after the first each time with the reason why the last was turned away."""


class Written(NamedTuple):
    """What came of one request."""

    request: ToolRequest
    admission: Admission | None
    """Of the last attempt that was a tool; None: none was."""
    complaints: tuple[str, ...]
    """Why the attempts before, or all, were turned away."""

    @property
    def admitted(self) -> bool:
        """Whether there is a new tool in use."""
        return self.admission is not None and self.admission.after in IN_USE


@dataclass(frozen=True)
class Batch:
    """What came of a batch of requests."""

    written: list[Written] = field(default_factory=list[Written])
    """In the order of the requests."""
    merges: list[Merge] = field(default_factory=list[Merge])


async def write_tools(
    store: MemoryStore,
    gate: Gate,
    writer: ToolWriter,
    requests: Sequence[ToolRequest],
    *,
    merger: Merger | None = None,
    attempts: int = ATTEMPTS,
) -> Batch:
    """Have a tool written for each request, all at once; admit them one after another; merge what does the same.

    All see the tools that were in use before the batch. Raises `LeakError` where a request's episode plays a task that
    agents are evaluated on, before anything is written; without a `merger` nothing is merged.
    """
    provenances = [
        Provenance.of(*request.episodes, run=request.run, author=writer.name) for request in requests
    ]
    known = _in_use(store)
    drafts = await asyncio.gather(*(_draft(writer, request, known, "") for request in requests))
    written = [
        await _admitted(store, gate, writer, request, provenance, known, draft, attempts)
        for request, provenance, draft in zip(requests, provenances, drafts, strict=True)
    ]
    return Batch(written, await merge_tools(store, gate, merger) if merger is not None else [])


async def _draft(
    writer: ToolWriter, request: ToolRequest, known: Sequence[MemoryItem], complaint: str
) -> MemoryItem | str | None:
    """Return a tool, why it is none, or None where there is no use for one."""
    seen = [tool for tool in known if sees(request.space, tool.space) and tool.env_id in ("", request.env_id)]
    try:
        return await writer.write(request, seen, complaint)
    except UsageError as error:
        return str(error)


async def _admitted(
    store: MemoryStore,
    gate: Gate,
    writer: ToolWriter,
    request: ToolRequest,
    provenance: Provenance,
    known: Sequence[MemoryItem],
    draft: MemoryItem | str | None,
    attempts: int,
) -> Written:
    complaints: list[str] = []
    admission: Admission | None = None
    while draft is not None:
        if isinstance(draft, str):
            complaints.append(draft)
        else:
            item = replace(draft, space=request.space, env_id=request.env_id)
            version = store.put(item, provenance)
            before = store.status_log(version)[-1]
            if before.status in IN_USE:  # somebody has written just that
                break
            if before.status is not ItemStatus.CANDIDATE:
                complaints.append(before.reason)
            else:
                admission = await gate.admit(version)
                if admission.report.failed is None:
                    break
                complaints.append(admission.report.summary)
        if len(complaints) >= attempts:
            break
        draft = await _draft(writer, request, known, complaints[-1])
    return Written(request, admission, tuple(complaints))


def _in_use(store: MemoryStore) -> list[MemoryItem]:
    entries = current(store.entries([ItemKind.TOOL]), IN_USE)
    return list(store.get_all([entry.version for entry in entries]).values())
