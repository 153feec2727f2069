"""`Gate`: the stages in order, and what becomes of the item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemStatus, MemoryItem
from agentgym.evolution.gate.blind import BlindTester, BlindTests, SchemaTester
from agentgym.evolution.gate.replay import Replay
from agentgym.evolution.gate.report import Check, GateReport, Standing
from agentgym.evolution.gate.stages import (
    BlindTestsStage,
    GateRules,
    LineageStage,
    MutationStage,
    OwnTestsStage,
    ReplayStage,
    ScanStage,
    SchemaStage,
    Stage,
)
from agentgym.memory.quarantine import AUTHOR as LINEAGE
from agentgym.memory.quarantine import quarantine
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.rows import canonical, now
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import CheckRow
from agentgym.memory.tools.runner import ToolRunner
from agentgym.sandboxes.backends import sandbox

AUTHOR = "gate"
"""Who a status log says decided."""
OUT = (ItemStatus.RETIRED, ItemStatus.QUARANTINED)
"""What has been turned away, or withdrawn."""


class Admission(NamedTuple):
    """What became of an item."""

    report: GateReport
    before: ItemStatus
    after: ItemStatus


class Gate:
    """Runs an item through the stages, the cheap ones first, up to the first that turns it away.

    What fails for a reason that is not the item's (`SandboxFault`, `InferenceFault`) is raised; then nothing is
    written, and the item stays where it was. So it does where faults have left no episode of the replay to compare,
    which the status log says. Only tasks of the split `select` are played.
    """

    def __init__(
        self,
        store: MemoryStore,
        runner: ToolRunner | None = None,
        *,
        replay: Replay | None = None,
        testers: Sequence[BlindTester] = (SchemaTester(),),
        rules: GateRules | None = None,
    ) -> None:
        """Check items of `store`. Tools run by `runner`, in the sandbox of this machine unless told otherwise.

        `testers` write tests of tools whose code they do not see. Without a `replay` that stage is not run, and
        nothing becomes active.
        """
        runner = runner or ToolRunner(sandbox)
        blind = BlindTests(testers)
        self._store = store
        self.stages: Sequence[Stage] = (
            SchemaStage(),
            LineageStage(store),
            ScanStage(),
            OwnTestsStage(runner),
            BlindTestsStage(runner, blind),
            MutationStage(runner, blind, rules or GateRules()),
            ReplayStage(replay),
        )

    async def examine(self, item: MemoryItem) -> GateReport:
        """Return what the stages find. Nothing is written, but the snapshots that a replay shows."""
        checks: list[Check] = []
        for stage in self.stages:
            failed = next((check for check in checks if check.standing is Standing.FAILED), None)
            told = f"the stage {failed.name!r} failed" if failed is not None else stage.missing()
            why = stage.exempt(item)
            if why:
                checks.append(Check(stage.name, Standing.NOT_APPLICABLE, why))
            elif told:
                checks.append(Check(stage.name, Standing.NOT_RUN, told))
            else:
                checks.append(await stage.check(item))
        return GateReport(item.version, item.kind, item.name, tuple(checks))

    async def admit(self, version: str) -> Admission:
        """Examine a version of the store, keep what was found, and set its status by it.

        What goes into quarantine takes along what was made from it. What somebody else has withdrawn meanwhile stays so.
        Raises `UsageError` for a version that is not in the memory, is retired or in quarantine: what was turned
        away does not come back by being tried again.
        """
        before = self._status(version)
        if before in OUT:
            raise UsageError(
                f"The version {version} is {before.value}; restore it first (`agentgym memory restore`) and say why."
            )
        report = await self.examine(self._store.get(version))
        EvidenceLog(self._store).add(list(_rows(report)))
        meanwhile = self._status(version)
        if meanwhile in OUT:  # a replay takes its time, and others may have found something
            return Admission(report, before, meanwhile)
        after, failed = report.status(before), report.failed
        if after is ItemStatus.QUARANTINED:
            inherited = failed is not None and failed.name == LineageStage.name
            quarantine(self._store, version, reason=report.summary, author=LINEAGE if inherited else AUTHOR)
        else:
            self._store.set_status(version, after, reason=report.summary, author=AUTHOR)
        return Admission(report, before, after)

    def _status(self, version: str) -> ItemStatus:
        return self._store.status_log(version)[-1].status


def _rows(report: GateReport) -> Sequence[CheckRow]:
    """Return the stages that ran, and the whole as the check `gate`."""
    at = now()
    rows = [
        CheckRow(
            sha=report.version,
            check=check.name,
            passed=check.passed,
            score=check.figure,
            n=check.n,
            report_json=canonical(check.to_data()),
            at=at,
        )
        for check in report.checks
        if check.ran
    ]
    whole = CheckRow(
        sha=report.version,
        check=AUTHOR,
        passed=report.passed,
        score=None,
        n=len(rows),
        report_json=canonical(report.to_data()),
        at=at,
    )
    return [*rows, whole]
