"""The statistics of a bench."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # pyright: ignore[reportMissingTypeStubs]

from agentgym.training.bench.compare import crossed_interval, paired_interval, table, threshold_of
from agentgym.training.bench.measure import Measured, Point

scipy_stats: Any = cast(Any, stats)


def measured(recipe: str, seed: int, success: list[float], heldout: list[float], **more: float) -> Measured:
    """A run evaluated every 100 tokens and 10 seconds."""
    return Measured(
        recipe=recipe,
        seed=seed,
        curve=tuple(
            Point(iteration=i, tokens=100.0 * i, seconds=10.0 * i, success=rate)
            for i, rate in enumerate(success)
        ),
        heldout={f"task{k}": rate for k, rate in enumerate(heldout)},
        heldout_before=0.0,
        kl=more.get("kl", 0.1),
        entropy=0.5,
        clip_share=0.0,
        steps=2.0,
        steps_without_update=0.0,
    )


def test_the_threshold_is_reached_on_the_line_between_two_evaluations() -> None:
    run = measured("a", 0, [0.2, 0.2, 0.6], [1.0])
    point = run.reached(0.5)
    assert point is not None
    assert (point.tokens, point.seconds) == pytest.approx((175.0, 17.5))
    assert run.reached(0.7) is None
    start = run.reached(0.1)
    assert start is not None
    assert start.tokens == 0
    assert run.curve_mean == pytest.approx((0.2 + 0.4) / 2)


def test_a_table_by_hand() -> None:
    runs = {
        "a": [measured("a", 0, [0.0, 0.4], [0, 0, 1, 1]), measured("a", 1, [0.0, 0.6], [0, 1, 1, 1])],
        "b": [measured("b", 0, [0.0, 0.8], [1, 1, 1, 1]), measured("b", 1, [0.0, 0.1], [1, 1, 1, 1])],
    }
    threshold = threshold_of(runs["a"])
    assert threshold == pytest.approx(0.25)
    first, second = table(runs, threshold)
    assert first.success.mean == pytest.approx(0.625)
    assert second.success.difference == pytest.approx(0.375)
    assert (second.tokens.seeds, second.tokens.mean) == (1, pytest.approx(100 * 0.25 / 0.8))
    assert second.tokens.difference == pytest.approx(100 * (0.25 / 0.8 - 0.25 / 0.4))
    assert second.tokens.interval is None, "one pair has no spread"
    assert second.kl.interval == (0.0, 0.0)


def test_the_interval_over_seeds_is_students() -> None:
    values = [0.1, 0.3, 0.2, 0.5]
    low, high = scipy_stats.t.interval(0.95, 3, np.mean(values), scipy_stats.sem(values))
    assert paired_interval(values) == pytest.approx((low, high))
    assert paired_interval([0.1]) is None


def test_the_crossed_interval_covers_what_seeds_and_tasks_both_move() -> None:
    """Differences are a seed's part plus a task's part plus noise; the truth is 0."""
    random = np.random.default_rng(0)
    S, K, trials, inside = 4, 30, 400, 0
    for _ in range(trials):
        cells = (
            0.08 * random.standard_normal((S, 1))
            + 0.15 * random.standard_normal((1, K))
            + 0.1 * random.standard_normal((S, K))
        )
        low, high = crossed_interval(np.clip(cells, -1, 1))
        inside += low <= 0 <= high
    assert inside / trials >= 0.95 - 2 * math.sqrt(0.05 * 0.95 / trials)


@given(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_crossed_interval_holds_the_mean_and_knows_no_order(cells: list[list[float]]) -> None:
    difference_SK = np.array(cells)
    low, high = crossed_interval(difference_SK)
    assert -1 <= low <= difference_SK.mean() + 1e-9
    assert difference_SK.mean() - 1e-9 <= high <= 1
    assert crossed_interval(difference_SK[::-1, ::-1]) == pytest.approx((low, high), abs=1e-9)
