"""EGL by hand, and the probability that more will help against the normal distribution."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.evolution.convergence import WINDOW, chance_of_help, generality, survival
from agentgym.memory.credit.lift import Lift


def test_egl_is_made_over_used_and_falls_where_less_is_made_for_each_use_than_so_far() -> None:
    made, used = [4, 2, 0, 0], [0, 10, 20, 30]
    assert generality(made[:1], used[:1]) == (math.inf, math.inf)
    assert generality(made[:2], used[:2]) == (0.6, 0.6)
    assert generality(made, used) == (0.1, pytest.approx(2 / 60)), f"the window is {WINDOW} batches"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50)), min_size=2, max_size=9))
def test_egl_falls_exactly_where_a_batch_makes_less_for_each_use(batches: list[tuple[int, int]]) -> None:
    """Theorem 5.1 of the report: L falls from t to t+1 iff c/u of batch t+1 is below L(t)."""
    made, used = zip(*batches, strict=True)
    before, after = (generality(made[:end], used[:end]).egl for end in (-1, None))
    less = made[-1] * sum(used[:-1]) - sum(made[:-1]) * used[-1]
    assert (after - before) * less >= 0
    assert (abs(after - before) < 1e-9) or less != 0


def test_survival_is_the_share_of_what_was_made_that_is_in_use() -> None:
    assert survival(["a", "b", "a", "c"], ["a", "z"]) == pytest.approx(1 / 3)
    assert survival([], ["a"]) == 1.0


def test_the_probability_that_more_helps_is_that_of_a_normal_sum() -> None:
    """n = 50 exposures shrink a lift to half its mean and its error by √½; Φ(1) = 0.8413."""
    lift = Lift(0.1, 0.05 * math.sqrt(2), 50, 20)
    assert (lift.shrunk().mean, lift.shrunk().se) == (0.05, pytest.approx(0.05))
    assert chance_of_help([], ["a"], {"a": lift}) == pytest.approx(0.841345, abs=1e-6)
    assert chance_of_help(["a"], [], {"a": lift}) == pytest.approx(1 - 0.841345, abs=1e-6), (
        "what helps was lost"
    )
    both = chance_of_help([], ["a", "b"], {"a": lift, "b": lift})
    assert both == pytest.approx(0.921350, abs=1e-6), "Φ(√2)"


def test_where_nothing_changes_nothing_helps_and_where_nothing_is_known_it_may() -> None:
    assert chance_of_help(["a"], ["a"], {}) == 0.0
    assert chance_of_help(["a"], ["a", "b"], {}) == 0.5
    assert chance_of_help(["a"], ["a", "b"], {"b": Lift(0.0, 0.0, 40, 40)}) == 0.0, (
        "it never made a difference"
    )
