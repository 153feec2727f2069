"""The stages of the gate. Each says for what it does not apply, what it still needs, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from agentgym.core.errors import ConfigError
from agentgym.core.memory import ItemKind, ItemStatus, MemoryItem
from agentgym.evolution.gate.blind import BlindTests
from agentgym.evolution.gate.forms import form_problem
from agentgym.evolution.gate.mutation import mutation_score
from agentgym.evolution.gate.replay import Replay
from agentgym.evolution.gate.report import Check, Standing
from agentgym.memory.scan import scan
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.document import TESTS_FOLDER, contract_of
from agentgym.memory.tools.inspecting import inspect_code
from agentgym.memory.tools.runner import ToolRunner

_LISTED = 3
"""Most problems named in a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """What a tool's tests have to notice."""

    mutants: int = 24
    """Most that are tried."""
    least_killed: float = 0.6
    """Share of them that the tests have to notice. Not all can be: some changes make no difference."""

    def __post_init__(self) -> None:
        if self.mutants < 1 or not 0 < self.least_killed <= 1:
            raise ConfigError(
                f"mutants is at least 1 and least_killed above 0 and at most 1; got {self.mutants!r} and "
                f"{self.least_killed!r}."
            )


class Stage(Protocol):
    """One of the gate's stages."""

    @property
    def name(self) -> str:
        """For rows."""
        ...

    def exempt(self, item: MemoryItem) -> str:
        """Return why the stage does not apply to an item; empty: it does."""
        ...

    def missing(self) -> str:
        """Return what the stage needs and was not given; empty: nothing."""
        ...

    async def check(self, item: MemoryItem) -> Check:
        """Return what is found. Raises `InfrastructureError` for what is not the item's fault."""
        ...


class Always:
    """A stage that applies to every item and needs nothing."""

    def exempt(self, item: MemoryItem) -> str:
        """Nothing is exempt."""
        return ""

    def missing(self) -> str:
        """Nothing is."""
        return ""


class ForTools(Always):
    """A stage that applies to tools alone."""

    def exempt(self, item: MemoryItem) -> str:
        """Whatever has no code that can be called."""
        return "" if item.kind is ItemKind.TOOL else f"a {item.kind.value} has no code that can be called"


class SchemaStage(Always):
    """Whether the item has the form of its kind."""

    name = "schema"

    async def check(self, item: MemoryItem) -> Check:
        """Pass what is well formed."""
        problem = form_problem(item)
        standing = Standing.FAILED if problem else Standing.PASSED
        return Check(self.name, standing, problem or f"well formed as a {item.kind.value}")


class LineageStage(Always):
    """Whether anything that the item was made from, or under, is in quarantine."""

    name = "lineage"

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def check(self, item: MemoryItem) -> Check:
        """Pass what has no such ancestor."""
        ancestors = self._store.ancestors(item.version)
        held = [
            f"{entry.kind.value} {entry.name!r}"
            for entry in (self._store.entries() if ancestors else ())
            if entry.version in ancestors and entry.status is ItemStatus.QUARANTINED
        ]
        if held:
            return Check(
                self.name, Standing.FAILED, f"made from what is in quarantine: {', '.join(held[:_LISTED])}"
            )
        return Check(
            self.name, Standing.PASSED, f"made from {len(ancestors)} others, none of them in quarantine"
        )


class ScanStage(Always):
    """Known forms of attacks in its texts, and code that a tool has no honest use for; the figure counts them."""

    name = "scan"

    async def check(self, item: MemoryItem) -> Check:
        """Pass what nothing is found in."""
        found = [*scan(item), *(inspect_code(item) if item.kind is ItemKind.TOOL else ())]
        told = [f"{finding.rule} in {finding.where}: {finding.excerpt!r}" for finding in found]
        standing = Standing.FAILED if found else Standing.PASSED
        return Check(
            self.name,
            standing,
            "; ".join(told[:_LISTED]) or "nothing suspicious",
            float(len(found)),
            len(item.files) + 3,
            {"findings": told},
        )


class OwnTestsStage(ForTools):
    """A tool's own tests; the figure is the share that passes, which is to be all."""

    name = "tests"

    def __init__(self, runner: ToolRunner) -> None:
        self._runner = runner

    async def check(self, item: MemoryItem) -> Check:
        """Pass a tool that has tests, all of which pass."""
        if not any(path.startswith(TESTS_FOLDER) for path in item.files):
            return Check(self.name, Standing.FAILED, f"it has no test; write programs in {TESTS_FOLDER}", 0.0)
        return told_tests(self.name, await self._runner.test(item))


class BlindTestsStage(ForTools):
    """Tests written from the tool's description alone; the figure is the share that passes, which is to be all."""

    name = "blind tests"

    def __init__(self, runner: ToolRunner, blind: BlindTests) -> None:
        self._runner = runner
        self._blind = blind

    def missing(self) -> str:
        """Somebody to write them."""
        return "" if self._blind.testers else "nobody to write them was given"

    async def check(self, item: MemoryItem) -> Check:
        """Pass a tool that passes them all."""
        programs = await self._blind.of(contract_of(item))
        if not programs:
            names = ", ".join(tester.name for tester in self._blind.testers)
            return Check(self.name, Standing.UNDECIDED, f"its description gives nothing to test ({names})")
        found = told_tests(self.name, await self._runner.test(item, programs))
        written = {path: program.decode("utf-8", "replace") for path, program in programs.items()}
        return replace(found, details={**found.details, "programs": written})


class MutationStage(ForTools):
    """Whether the tests would notice a mistake; the figure is the share of mutants that they notice."""

    name = "mutation"

    def __init__(self, runner: ToolRunner, blind: BlindTests, rules: GateRules) -> None:
        self._runner = runner
        self._blind = blind
        self._rules = rules

    async def check(self, item: MemoryItem) -> Check:
        """Pass a tool whose own and blind tests together notice the least share."""
        own = {path: data for path, data in item.files.items() if path.startswith(TESTS_FOLDER)}
        tests = {**own, **await self._blind.of(contract_of(item))}
        score = await mutation_score(item, tests, self._runner, most=self._rules.mutants)
        if score.problem:
            return Check(self.name, Standing.UNDECIDED, f"no score: {score.problem}")
        reason = f"{score.killed} of {score.mutants} mutants are noticed, at least {self._rules.least_killed:.0%} are to be"
        missed = f"; unnoticed: {'; '.join(score.survivors[:_LISTED])}" if score.survivors else ""
        standing = Standing.PASSED if score.share >= self._rules.least_killed else Standing.FAILED
        details = {"survivors": score.survivors, "least": self._rules.least_killed}
        return Check(self.name, standing, reason + missed, score.share, score.mutants, details)


class ReplayStage(Always):
    """Tasks of the split `select` with the item and without it; see `Replay`. The figure is the difference."""

    name = "replay"

    def __init__(self, replay: Replay | None) -> None:
        self._replay = replay

    def missing(self) -> str:
        """An agent and tasks to play."""
        return "" if self._replay is not None else "no agent and tasks to play were given"

    async def check(self, item: MemoryItem) -> Check:
        """Pass an item that is better or no worse."""
        assert self._replay is not None
        return await self._replay.check(item, self.name)


def told_tests(name: str, problems: dict[str, str]) -> Check:
    """Return the row of tests that were run, given what went wrong with each."""
    wrong = [problem for problem in problems.values() if problem]
    passed = len(problems) - len(wrong)
    reason = "; ".join(wrong[:_LISTED]) or f"{passed} of {len(problems)} pass"
    return Check(
        name,
        Standing.FAILED if wrong else Standing.PASSED,
        reason,
        passed / len(problems),
        len(problems),
        {"problems": {path: problem for path, problem in problems.items() if problem}},
    )
