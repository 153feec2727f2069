"""`pytest tests/golden --golden DIR` runs the cases of every file of a folder, and sums them up by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.golden.cases import VECTORS, Case, load
from tests.golden.compare import ROUNDING, Verdict


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", metavar="DIR", help="folder of golden cases (default: tests/golden/vectors)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" not in metafunc.fixturenames:
        return
    folder = Path(metafunc.config.getoption("--golden", default=None) or VECTORS)
    cases = load(folder)
    if not cases:
        raise pytest.UsageError(f"--golden: no JSON files in {folder}; give a folder of golden cases")
    metafunc.parametrize("case", cases, ids=[f"{case.file}::{case.name}" for case in cases])


@pytest.fixture
def note(case: Case, record_property: Callable[[str, object], None]) -> Callable[[Verdict], None]:
    """Tells the summary how a case agreed."""
    record_property("golden", (case.file, case.kind or "?"))
    return lambda verdict: record_property("verdict", verdict.value)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: Counter[tuple[str, str, str]] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            properties: dict[str, Any] = dict(getattr(report, "user_properties", ()))
            if "golden" in properties:
                verdict = properties.get("verdict", "failed") if outcome == "passed" else "failed"
                counts[(*properties["golden"], verdict)] += 1
    if not counts:
        return
    verdicts = [*(verdict.value for verdict in Verdict), "failed"]
    terminalreporter.section("golden cases")
    _line(terminalreporter, "file", "kind", ["cases", *verdicts])
    for file, kind in sorted({(file, kind) for file, kind, _ in counts}):
        row = [counts[file, kind, verdict] for verdict in verdicts]
        _line(terminalreporter, file, kind, [sum(row), *row])
    row = [sum(count for (*_, found), count in counts.items() if found == verdict) for verdict in verdicts]
    _line(terminalreporter, "all", "", [sum(row), *row])
    terminalreporter.write_line(
        f"rounded: a normalised advantage is off by more than the file's tolerance, but within {ROUNDING}, what single "
        "precision in the published code explains. excused: the file flags its numbers as float noise of constant "
        "groups, and exact arithmetic's values were compared instead."
    )


def _line(reporter: pytest.TerminalReporter, file: str, kind: str, numbers: Sequence[object]) -> None:
    reporter.write_line(f"{file:24} {kind:24}" + "".join(f"{number!s:>9}" for number in numbers))
