"""Comparing what the parts give with what a case expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, cast

import numpy as np
import torch

from agentgym.core.errors import unknown_name_message
from tests.golden.cases import Case, Inputs

Found: TypeAlias = Mapping[str, Any]
Adapter: TypeAlias = Callable[[Inputs], Found]


ROUNDING = {"rtol": 2e-4, "atol": 2e-5}
"""How far rounding in single precision takes the published advantages from exact ones: means of values near 10 are off
by 1e-6, and deviations that divide them may be as small as 0.05."""


class Verdict(StrEnum):
    """How a case agreed."""

    PASSED = "passed"
    """Within the file's tolerance."""
    ROUNDED = "rounded"
    """A normalised advantage is off by more than that, but within what rounding explains (`ROUNDING`)."""
    EXCUSED = "excused"
    """The file flags the case as noise, and exact arithmetic's values were compared instead."""


@dataclass(frozen=True)
class Kind:
    """How the cases of a kind are computed by parts of agentgym."""

    adapter: Adapter
    logged: frozenset[str]
    """Expected values that are monitoring of the other implementation, which no part computes."""
    prose: frozenset[str]
    """Inputs that are words to the reader."""
    normalised: frozenset[str]
    """Expected values that were divided by a deviation in single precision."""


KINDS: dict[str, Kind] = {}


def kind(
    name: str, *, logged: Sequence[str] = (), prose: Sequence[str] = (), normalised: Sequence[str] = ()
) -> Callable[[Adapter], Adapter]:
    """Register the adapter of a kind: from a case's inputs to values under the keys that the case expects."""

    def register(adapter: Adapter) -> Adapter:
        KINDS[name] = Kind(adapter, frozenset(logged), frozenset(prose), frozenset(normalised))
        return adapter

    return register


def check(case: Case) -> Verdict:
    """Assert that the parts give what the case expects."""
    assert not case.broken, f"{case.file} is not a file of golden cases: {case.broken}"
    assert case.kind in KINDS, f"{case.name!r}: {unknown_name_message('kind', case.kind, KINDS)}"
    known = KINDS[case.kind]
    found = known.adapter(case.given)
    ignored = case.given.unseen - known.prose
    assert not ignored, f"the adapter of {case.kind!r} ignores the inputs {sorted(ignored)}"
    wanted = set(case.expected) - known.logged
    assert wanted, f"{case.name!r} expects nothing that is compared"
    missing = wanted - set(found)
    assert not missing, f"the adapter of {case.kind!r} does not give {sorted(missing)}"
    verdicts = {_check(case, key, found[key], key in known.normalised) for key in sorted(wanted)}
    return next(verdict for verdict in reversed(Verdict) if verdict in verdicts)


def _check(case: Case, key: str, found: Any, normalised: bool) -> Verdict:
    """Compare one expected value. Noise is excused only in cases that are flagged: what exact arithmetic gives
    counts then. Where the file does not tell, entries for which ours is exactly 0 are excused, and of
    normalised values, which add noise to other things, all."""
    expected = case.expected[key]
    if close(found, expected, case.rtol, case.atol):
        return Verdict.PASSED
    if case.noisy and key in case.exact:
        compare(found, case.exact[key], key, **ROUNDING)
        return Verdict.EXCUSED
    if case.noisy:
        ours = np.asarray(found, np.float64)
        excused = normalised | (np.abs(ours) < 1e-12)
        compare(found, np.where(excused, ours, np.asarray(expected, np.float64)), key, case.rtol, case.atol)
        return Verdict.EXCUSED
    if normalised:
        compare(found, expected, key, **ROUNDING)
        return Verdict.ROUNDED
    compare(found, expected, key, case.rtol, case.atol)
    return Verdict.PASSED


def close(found: Any, expected: Any, rtol: float, atol: float) -> bool:
    """Return whether `compare` finds nothing."""
    try:
        compare(found, expected, "", rtol, atol)
    except AssertionError:
        return False
    return True


def compare(found: Any, expected: Any, where: str, rtol: float, atol: float) -> None:
    """Assert that two values agree: numbers and arrays within the tolerance, tables key by key."""
    if isinstance(expected, Mapping):
        for key, value in cast("Mapping[str, Any]", expected).items():
            assert key in found, f"{where}.{key} was not computed"
            compare(found[key], value, f"{where}.{key}", rtol, atol)
    elif isinstance(expected, list) and any(
        isinstance(item, Mapping) for item in cast("list[Any]", expected)
    ):
        items = cast("list[Any]", expected)
        assert len(found) == len(items), f"{where}: {len(found)} entries, expected {len(items)}"
        for index, (ours, theirs) in enumerate(zip(found, items, strict=True)):
            compare(ours, theirs, f"{where}[{index}]", rtol, atol)
    else:
        ours = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
        theirs = np.asarray(cast("Any", expected))
        assert ours.shape == theirs.shape, f"{where}: shape {ours.shape}, expected {theirs.shape}"
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, equal_nan=True, err_msg=where)
