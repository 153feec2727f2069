"""What a gate found: a row for each of its stages, and where the item stands after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agentgym.core.memory import ItemKind, ItemStatus

SUSPECT = ("lineage", "scan")
"""Stages that find what may do harm, and not only what is of no use."""


class Standing(StrEnum):
    """What a stage came to."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "cannot tell"
    """It was run, and its evidence is not enough for either."""
    NOT_APPLICABLE = "does not apply"
    """There is nothing of the sort in an item of this kind."""
    FAULT = "fault"
    """It was run, and something other than the item failed: nothing is known of the item."""
    NOT_RUN = "not run"
    """An earlier stage failed, or what it needs was not given."""


@dataclass(frozen=True, slots=True)
class Check:
    """A stage of the gate, as it went for one item."""

    name: str
    standing: Standing
    reason: str
    """What was found, in words that the item's author can act on."""
    figure: float | None = None
    """What was measured; see the stage."""
    n: int = 0
    """Observations behind the figure."""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON data."""

    @property
    def passed(self) -> bool:
        """Whether it was run and is in order."""
        return self.standing is Standing.PASSED

    @property
    def ran(self) -> bool:
        """Whether there is anything that it found."""
        return self.standing in (Standing.PASSED, Standing.FAILED, Standing.UNDECIDED)

    def to_data(self) -> dict[str, Any]:
        """Return the row as JSON data."""
        return {
            "name": self.name,
            "standing": self.standing.value,
            "figure": self.figure,
            "n": self.n,
            "reason": self.reason,
            "details": dict(self.details),
        }


@dataclass(frozen=True, slots=True)
class GateReport:
    """An item before the gate. Every stage has a row, whether it was run or not."""

    version: str
    kind: ItemKind
    name: str
    checks: tuple[Check, ...]
    """In the order of the stages."""

    @property
    def failed(self) -> Check | None:
        """The stage that turned the item away; None: none did."""
        return self._first(Standing.FAILED)

    @property
    def fault(self) -> Check | None:
        """The stage that could not be brought to an end, for no reason of the item's; None: none."""
        return self._first(Standing.FAULT)

    @property
    def passed(self) -> bool:
        """Whether every stage that applies was run and is in order: only then the item is to be used."""
        return all(check.standing in (Standing.PASSED, Standing.NOT_APPLICABLE) for check in self.checks)

    @property
    def open(self) -> tuple[Check, ...]:
        """The stages that apply, have not failed and have not passed."""
        settled = (Standing.PASSED, Standing.FAILED, Standing.NOT_APPLICABLE)
        return tuple(check for check in self.checks if check.standing not in settled)

    def status(self, before: ItemStatus) -> ItemStatus:
        """Return where an item stands after the gate.

        Active where it passed. Where a stage failed: quarantined if that was the scan or the lineage, else retired. Where
        something else failed it stays what it was, to be tried again. Where it is undecided an item in use stays in use,
        and any other is a shadow: shown now and then to find out.
        """
        if self.failed is not None:
            return ItemStatus.QUARANTINED if self.failed.name in SUSPECT else ItemStatus.RETIRED
        if self.fault is not None:
            return before
        return ItemStatus.ACTIVE if self.passed or before is ItemStatus.ACTIVE else ItemStatus.SHADOW

    @property
    def summary(self) -> str:
        """What was found, in one line for a status log."""
        if self.failed is not None:
            return f"{self.failed.name}: {self.failed.reason}"
        if self.fault is not None:
            return f"{self.fault.name} came to nothing, by no fault of the item: {self.fault.reason}"
        told = [f"{check.name} {check.standing.value} ({check.reason})" for check in self.checks if check.ran]
        return "; ".join([*told, *(f"{check.name} not run" for check in self.open if not check.ran)])

    def _first(self, standing: Standing) -> Check | None:
        return next((check for check in self.checks if check.standing is standing), None)

    def to_data(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return {
            "version": self.version,
            "kind": self.kind.value,
            "name": self.name,
            "passed": self.passed,
            "checks": [check.to_data() for check in self.checks],
        }
