"""What a conformance run found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a check ended."""

    PASS = "pass"
    """What it asks for holds."""
    FAIL = "fail"
    """It does not; the message says what to fix."""
    SKIP = "skip"
    """It does not apply; the message says why."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check's verdict."""

    id: str
    """Such as `semantic.determinism`."""
    status: Status
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """All verdicts on one environment, in the order in which they were reached."""

    subject: str
    """Id of the environment."""
    results: Sequence[CheckResult]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def failures(self) -> list[CheckResult]:
        """The checks that failed."""
        return [result for result in self.results if result.status is Status.FAIL]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return {
            "subject": self.subject,
            "passed": self.passed,
            "results": [
                {"id": r.id, "status": r.status.value, "message": r.message, "seconds": r.seconds}
                for r in self.results
            ],
        }

    def __str__(self) -> str:
        """Return one line for each check and one for the verdict."""
        width = max((len(result.id) for result in self.results), default=0)
        lines = [f"{r.status:<4}  {r.id:<{width}}  {r.seconds:6.2f} s  {r.message}" for r in self.results]
        verdict = "passed" if self.passed else f"{len(self.failures)} of {len(self.results)} checks failed"
        return "\n".join([*lines, f"{self.subject}: {verdict}"])
