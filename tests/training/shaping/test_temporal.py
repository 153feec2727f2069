"""Temporal scheduling: few tokens first, all in the end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.training.shaping.base import Progress
from agentgym.training.shaping.temporal import (
    Temporal,
    TemporalEntropyAdvantage,
    TemporalForking,
    TemporalOffPolicy,
    TemporalPosition,
)
from tests.training.advantages.tables import table
from tests.training.shaping.tokens import tokens_of

TURNS = table("gggg", "aabb", "wxyz", [0.0] * 4, tokens=[2, 2, 1, 1])
TOKENS = tokens_of(
    TURNS,
    sampler=[-1.0] * 6,
    proximal=[-1.0, -1.5, -1.1, -1.0, -3.0, -1.2],
    entropy=[0.1, 0.9, 0.3, 0.2, 0.5, 0.4],
)
FIRST, LAST = Progress(0, 11), Progress(10, 11)
ADVANTAGE_N = np.array([1.0, 1.0, 1.0, 1.0, -2.0, -2.0])


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        (TemporalPosition(start=0.5), [0, 1, 4]),
        (TemporalPosition(start=0.5, keep="end"), [2, 3, 5]),
        (TemporalForking(start=0.5), [1, 4, 5]),
        (TemporalEntropyAdvantage(start=0.33), [1, 4]),
        (TemporalOffPolicy(start=0.5), [0, 2, 3]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_first_iteration_keeps_the_chosen_tokens(part: Temporal, kept: list[int]) -> None:
    found = part(ADVANTAGE_N, TOKENS, TURNS, FIRST)
    assert np.flatnonzero(found).tolist() == kept
    assert found[kept].tolist() == ADVANTAGE_N[kept].tolist()
    assert part(ADVANTAGE_N, TOKENS, TURNS, LAST).tolist() == ADVANTAGE_N.tolist()


@given(st.sampled_from(["linear", "sigmoid", "power"]), st.floats(0, 1), st.floats(0, 1))
def test_the_share_grows_from_start_to_end(pace: str, one: float, other: float) -> None:
    part = TemporalPosition.model_validate({"start": 0.25, "pace": pace})
    early, late = sorted((one, other))
    assert 0.25 - 1e-12 <= part.share(early) <= part.share(late) <= 1.0 + 1e-12
    assert part.share(0.0) == 0.25
    assert part.share(1.0) == 1.0


def test_the_middle_of_the_run() -> None:
    assert TemporalPosition(start=0.0).share(0.5) == 0.5
    assert TemporalPosition(start=0.0, pace="sigmoid").share(0.5) == pytest.approx(0.5)
    assert TemporalPosition(start=0.0, pace="power").share(0.5) == 0.25


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match=r"temporal_off_policy.*proximal"):
        TemporalOffPolicy()(ADVANTAGE_N, tokens_of(TURNS), TURNS, FIRST)
