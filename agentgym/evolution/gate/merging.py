"""Tools that do the same become one, which passes the gate before they are retired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, cast

from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind, ItemOrigin, ItemStatus, Link, MemoryItem, Provenance, Relation
from agentgym.evolution.gate.gate import AUTHOR, Admission, Gate
from agentgym.memory.store.entries import current
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.alike import ALIKE, clusters
from agentgym.memory.tools.document import CODE_FILE, TESTS_FOLDER, contract_of, tool_item
from agentgym.memory.tools.runner import ToolRunner
from agentgym.memory.tools.writing import PolicyToolWriter
from agentgym.sandboxes.backends import sandbox

IN_USE = (ItemStatus.SHADOW, ItemStatus.ACTIVE)
"""In rising order: what takes the place of others stands at least as high."""


class Merger(Protocol):
    """Makes one tool of several that do the same."""

    @property
    def name(self) -> str:
        """Who is recorded as the author."""
        ...

    def may(self, one: MemoryItem, other: MemoryItem) -> bool:
        """Whether it can make one of the two."""
        ...

    async def merge(self, tools: Sequence[MemoryItem]) -> MemoryItem:
        """Return the one, in the space of the others. Raises `UsageError` where it finds none."""
        ...


class KeepBest:
    """Keeps the code of the tool that passes most of the tests of all, and the tests and examples of all.

    Needs no model, and is for tools that take the same arguments. Of equally good ones the shorter code is kept.
    """

    name = "merging"

    def __init__(self, runner: ToolRunner | None = None) -> None:
        self._runner = runner or ToolRunner(sandbox)

    def may(self, one: MemoryItem, other: MemoryItem) -> bool:
        """Whether both take arguments of the same names and need the same of them."""
        return _arguments(one) == _arguments(other)

    async def merge(self, tools: Sequence[MemoryItem]) -> MemoryItem:
        """Return the best of the tools with the tests of all."""
        tests = {
            f"{tool.version[:8]}-{path.removeprefix(TESTS_FOLDER).replace('/', '-')}": data
            for tool in tools
            for path, data in sorted(tool.files.items())
            if path.startswith(TESTS_FOLDER)
        }
        programs = {f"{TESTS_FOLDER}{name}": data for name, data in tests.items()}
        failures = {
            tool.version: sum(map(bool, (await self._runner.test(tool, programs)).values())) for tool in tools
        }
        best = min(tools, key=lambda tool: (failures[tool.version], len(tool.files[CODE_FILE]), tool.version))
        contract = contract_of(best)
        examples = {str(example): example for tool in tools for example in contract_of(tool).examples}
        scripts = {path: data.decode() for path, data in best.files.items() if path.startswith("scripts/")}
        return tool_item(
            contract.spec,
            scripts.pop(CODE_FILE),
            {name: data.decode() for name, data in tests.items()},
            space=best.space,
            env_id=best.env_id,
            files=scripts,
            output_schema=contract.output_schema,
            examples=list(examples.values()),
        )


class PolicyMerger:
    """Asks a policy for the one tool; the arguments may differ."""

    def __init__(self, writer: PolicyToolWriter) -> None:
        self._writer = writer

    @property
    def name(self) -> str:
        """That of the writer."""
        return self._writer.name

    def may(self, one: MemoryItem, other: MemoryItem) -> bool:
        """Always."""
        return True

    async def merge(self, tools: Sequence[MemoryItem]) -> MemoryItem:
        """Return what the policy writes."""
        return await self._writer.merge(tools)


class Merge(NamedTuple):
    """What came of one group of tools."""

    parents: tuple[str, ...]
    admission: Admission | None
    """Of the one tool; None: none was found."""
    retired: bool
    """Whether it has taken the place of its parents."""
    reason: str


async def merge_tools(store: MemoryStore, gate: Gate, merger: Merger, *, alike: float = ALIKE) -> list[Merge]:
    """Merge the tools in use that do the same.

    Each group gives a new version with all of them as its parents and their episodes behind it. It goes through the
    gate, where it is replayed in place of its parents; only if it stands at least as high afterwards as the best of
    them are they retired. A group that has been merged before is left alone.
    """
    entries = current(store.entries([ItemKind.TOOL]), IN_USE)
    tools = store.get_all([entry.version for entry in entries])
    statuses = {entry.version: entry.status for entry in entries}
    return [
        await _merge(store, gate, merger, group, max(IN_USE.index(statuses[tool.version]) for tool in group))
        for group in clusters(list(tools.values()), merger.may, alike)
    ]


async def _merge(
    store: MemoryStore, gate: Gate, merger: Merger, group: Sequence[MemoryItem], best: int
) -> Merge:
    parents = tuple(tool.version for tool in group)
    try:
        found = await merger.merge(group)
    except UsageError as error:
        return Merge(parents, None, False, str(error))
    if (found.space, found.env_id) != (group[0].space, group[0].env_id):
        return Merge(parents, None, False, "the merged tool is not in the space of the others")
    meta = {**found.meta, "metadata": {"merged-from": " ".join(parents)}}
    version = store.put(replace(found, meta=meta), _provenance(store, merger.name, parents))
    status = store.status_log(version)[-1].status
    if status is not ItemStatus.CANDIDATE:
        return Merge(parents, None, False, f"merged before: {version[:8]} is {status.value}")
    admission = await gate.admit(version)
    if admission.after not in IN_USE or IN_USE.index(admission.after) < best:
        return Merge(parents, admission, False, f"the others stay: {admission.report.summary}")
    for parent in parents:
        store.set_status(parent, ItemStatus.RETIRED, reason=f"merged into {version}", author=AUTHOR)
    return Merge(parents, admission, True, f"{len(parents)} tools became {found.name}")


def _provenance(store: MemoryStore, author: str, parents: Sequence[str]) -> Provenance:
    sources = dict.fromkeys(source for parent in parents for source in store.provenance(parent).sources)
    links = tuple(Link(Relation.MERGED, parent) for parent in parents)
    return Provenance(ItemOrigin.EVOLVED, author, tuple(sources), links)


def _arguments(tool: MemoryItem) -> tuple[list[str], list[str]]:
    schema = contract_of(tool).spec.input_schema
    required = cast("list[str]", schema.get("required", []))
    return sorted(cast("dict[str, object]", schema.get("properties", {}))), sorted(required)
