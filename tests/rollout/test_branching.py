"""ARPO's probability of branching."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.rollout.branching import branch_probability


@pytest.mark.parametrize(
    ("change", "expected"),
    [(-3.0, 0.0), (-0.6, 0.38), (-0.3, 0.44), (0.0, 0.5), (0.3, 0.56), (0.6, 0.62), (3.0, 1.0)],
)
def test_as_released(change: float, expected: float) -> None:
    assert branch_probability(change) == pytest.approx(expected)


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(0, 1), st.floats(0, 5))
def test_it_is_a_probability_that_grows_with_doubt(
    one: float, other: float, base: float, weight: float
) -> None:
    low, high = (branch_probability(change, base=base, weight=weight) for change in sorted((one, other)))
    assert 0.0 <= low <= high <= 1.0
