"""How much of a tool's behaviour its tests hold it to: the share of mutants that they notice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from agentgym.core.memory import MemoryItem
from agentgym.evolution.gate.mutants import Mutant, mutants, spread
from agentgym.memory.tools.inspecting import SCRIPTS
from agentgym.memory.tools.runner import ToolRunner

CPU_S = 2
"""Seconds that all tests of one mutant may compute: one that is not done by then is noticed."""
AT_ONCE = 2
"""Sandboxes open at the same time."""


class Score(NamedTuple):
    """What came of the mutants of a tool."""

    killed: int
    survivors: list[str]
    """What was changed, and no test noticed."""
    problem: str = ""
    """Why there is no score: the tests fail on the tool itself when they are run this way."""

    @property
    def mutants(self) -> int:
        """How many were tried."""
        return self.killed + len(self.survivors)

    @property
    def share(self) -> float:
        """That of the mutants which the tests noticed; 1 where there are none."""
        return self.killed / self.mutants if self.mutants else 1.0


async def mutation_score(
    item: MemoryItem, tests: Mapping[str, bytes], runner: ToolRunner, *, most: int
) -> Score:
    """Run the tests against at most `most` mutants of a tool's code, each in a sandbox of its own.

    A mutant that the tests do not fail on survives. First they run against the tool itself, under the same limits,
    so that nothing else is taken for a test that notices. Raises `SandboxFault`.
    """
    quick = runner.within(CPU_S)
    problem = await quick.test_together(item, tests)
    if problem:
        return Score(0, [], problem)
    door = asyncio.Semaphore(AT_ONCE)

    async def survives(path: str, mutant: Mutant) -> bool:
        async with door:
            changed = replace(item, files={**item.files, path: mutant.code.encode()})
            return not await quick.test_together(changed, tests)

    tried = spread(
        [(path, mutant) for path in _scripts(item) for mutant in mutants(item.files[path].decode())], most
    )
    async with asyncio.TaskGroup() as group:
        found = [group.create_task(survives(path, mutant)) for path, mutant in tried]
    left = [
        f"{path}, line {mutant.line}: {mutant.change}"
        for (path, mutant), alive in zip(tried, found, strict=True)
        if alive.result()
    ]
    return Score(len(tried) - len(left), left)


def _scripts(item: MemoryItem) -> list[str]:
    return sorted(path for path in item.files if path.startswith(SCRIPTS) and path.endswith(".py"))
