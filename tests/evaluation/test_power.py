"""What can be resolved: against the exact power of the t test, and by what must hold."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # pyright: ignore[reportMissingTypeStubs]

from agentgym.core.errors import UsageError
from agentgym.evaluation.power import (
    LEAST_TASKS,
    Spread,
    assumed_spread,
    detectable_effect,
    measured_spread,
    spread_of_one,
    tasks_needed,
)
from agentgym.evaluation.statistics import sign_flip_p_value

student, noncentral = cast(Any, stats).t, cast(Any, stats).nct


def exact_power(effect: float, spread: float, tasks: int) -> float:
    """How often a two-sided paired t test at 5 % finds the effect (Cohen 1988)."""
    reach = student.ppf(0.975, tasks - 1)
    shift = effect / math.sqrt(spread / tasks)
    below, above = noncentral.cdf(-reach, tasks - 1, shift), noncentral.sf(reach, tasks - 1, shift)
    return float(above) + (float(below) if math.isfinite(below) else 0.0)


@pytest.mark.parametrize("tasks", [8, 20, 50, 200, 1000])
@pytest.mark.parametrize("power", [0.8, 0.9])
def test_the_detectable_effect_is_found_as_often_as_promised(tasks: int, power: float) -> None:
    effect = detectable_effect(0.1, tasks, samples=1000, power=power)
    assert exact_power(effect, 0.1, tasks) == pytest.approx(power, abs=0.02)


@pytest.mark.parametrize("tasks", [6, 20, 82, 400, 2000])
@pytest.mark.parametrize("samples", [1, 4])
def test_results_that_never_differed_do_not_make_small_effects_visible(tasks: int, samples: int) -> None:
    """Of the tasks whose pairs an effect changes with its probability, so many have to be told from chance."""
    effect = detectable_effect(0.0, tasks, samples)
    changed = np.arange(tasks + 1)
    told = [sign_flip_p_value(np.ones(n)) < 0.05 if 0 < n < 10 else n > 0 for n in changed]
    chance = cast(Any, stats).binom.pmf(changed, tasks, 1 - (1 - effect) ** samples)
    assert float(np.sum(chance[told])) == pytest.approx(0.8, abs=1e-6)


def test_many_tasks_need_what_the_normal_formula_says() -> None:
    expected = (1.959964 + 0.841621) ** 2 * 0.5 / 0.02**2
    assert tasks_needed(0.02, 0.5) == pytest.approx(expected, rel=0.001)


@given(st.floats(0.01, 1.0), st.floats(0.0, 1.0))
def test_the_tasks_needed_are_the_fewest(effect: float, spread: float) -> None:
    tasks = tasks_needed(effect, spread)
    assert tasks >= LEAST_TASKS
    assert detectable_effect(spread, tasks) <= effect
    assert tasks == LEAST_TASKS or detectable_effect(spread, tasks - 1) > effect


@given(st.floats(0.0, 1.0), st.integers(6, 500), st.integers(1, 500))
def test_more_tasks_resolve_more(spread: float, tasks: int, more: int) -> None:
    assert detectable_effect(spread, tasks + more) <= detectable_effect(spread, tasks)


def test_fewer_than_six_tasks_can_tell_nothing() -> None:
    assert sign_flip_p_value(np.ones(LEAST_TASKS - 1)) > 0.05 > sign_flip_p_value(np.ones(LEAST_TASKS))
    assert detectable_effect(0.0, LEAST_TASKS - 1) == 1.0


def test_the_parts_of_a_measured_spread_are_those_it_was_made_of() -> None:
    random = np.random.default_rng(0)
    means = random.normal(0.0, 0.3, 4000)
    found = measured_spread((means[:, None] + random.normal(0.0, 0.8, (4000, 5))).tolist())
    assert found.between == pytest.approx(0.09, rel=0.1)
    assert found.within == pytest.approx(0.64, rel=0.03)
    assert found.of(5) == pytest.approx(0.09 + 0.64 / 5, rel=0.1)


def test_without_repetition_all_is_between_tasks() -> None:
    assert measured_spread([[0.0], [1.0], [1.0], [0.0]]) == Spread(1 / 3, 0.0)
    assert measured_spread([[1.0, 1.0], [1.0], []]) == Spread(0.0, 0.0)
    assert spread_of_one([[0.0, 1.0], [0.0, 1.0]]) == Spread(0.0, 1.0)


def test_what_is_assumed_is_the_worst_of_independent_policies() -> None:
    assert assumed_spread(0.5, 0.09) == Spread(0.25 + 0.59 * 0.41, 0.0)
    assert assumed_spread(0.95, 0.09).between == pytest.approx(0.95 * 0.05)


@pytest.mark.parametrize("effect", [0.0, -0.1, 1.5, float("nan")])
def test_what_is_no_effect_is_refused(effect: float) -> None:
    with pytest.raises(UsageError, match=r"An effect lies above 0"):
        tasks_needed(effect, 0.1)


def test_what_is_no_spread_is_refused() -> None:
    with pytest.raises(UsageError, match=r"at least two tasks"):
        measured_spread([[1.0]])
    with pytest.raises(UsageError, match=r"a spread of at least 0"):
        detectable_effect(-0.1, 10)
    with pytest.raises(UsageError, match=r"Power lies in \[0\.5, 1\)"):
        detectable_effect(0.1, 10, power=1.0)
    with pytest.raises(UsageError, match=r"success rate lies"):
        assumed_spread(1.5, 0.1)
