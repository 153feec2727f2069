"""Every golden case, computed by the parts that recipes are made of."""

from __future__ import annotations

from collections.abc import Callable

import tests.golden.adapters  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers the adapters)
from tests.golden.cases import Case
from tests.golden.compare import Verdict, check


def test_case(case: Case, note: Callable[[Verdict], None]) -> None:
    note(check(case))
