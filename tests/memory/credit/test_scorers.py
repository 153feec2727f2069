"""The scorers against values computed by hand, and what they make of confounded rollouts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from agentgym.core.errors import ConfigError
from agentgym.memory.credit.evidence import Exposure, Rollout
from agentgym.memory.credit.scorers import (
    SCORERS,
    EvolveRScorer,
    LiftScorer,
    MementoScorer,
    MemRLScorer,
    Scorer,
)
from tests.memory.credit.worlds import confounded, play


def rollout(reward: float, shown: bool = True, version: str = "v", family: str = "") -> Rollout:
    return Rollout("g", reward, (Exposure(version, 0.5, shown),), family)


HISTORY = [rollout(1.0), rollout(0.0, shown=False), rollout(1.0), rollout(0.0)]


def test_evolver_counts_one_more_of_each() -> None:
    assert EvolveRScorer().scores(HISTORY) == {"v": pytest.approx((2 + 1) / (3 + 2))}


def test_memrl_moves_by_alpha() -> None:
    assert MemRLScorer(alpha=0.3).scores(HISTORY) == {"v": pytest.approx((0.3 + 0.7 * 0.3) * 0.7)}


def test_memento_solves_its_penalised_cross_entropy() -> None:
    """At the minimum of eq. 15 plus decay the slopes vanish: sum(r - Q) = decay · parameter, of state and case."""
    rows = [("s", "a", 1.0), ("s", "a", 1.0), ("s", "b", 0.0), ("t", "b", 1.0), ("t", "b", 0.0)]
    rollouts = [rollout(reward, True, case, state) for state, case, reward in rows]
    v = MementoScorer(sweeps=2000).scores(rollouts)

    def residual(state: str, u: float) -> float:
        return sum(r - 1 / (1 + math.exp(-u - v[c])) for s, c, r in rows if s == state) - u

    u = {state: _root(lambda x, state=state: residual(state, x)) for state in "st"}
    for case in "ab":
        slope = sum(r - 1 / (1 + math.exp(-u[s] - v[c])) for s, c, r in rows if c == case)
        assert slope == pytest.approx(v[case], abs=1e-6)
    assert v["a"] > v["b"]


def test_lift_is_the_shrunk_difference() -> None:
    group = [rollout(1.0), rollout(0.0, shown=False)]
    assert LiftScorer(prior=2).scores(group) == {"v": pytest.approx(2 / 4 * 2.0)}


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: scorer.name)
def test_every_scorer_ranks_plain_evidence(scorer: Scorer) -> None:
    """Where all tasks are alike each of them sees which item is the better one."""
    scores = scorer.scores(play({"good": 0.4, "bad": -0.4}, groups=60, base=(0.5, 0.5)))
    assert scores["good"] > scores["bad"]
    assert scorer.scores([]) == {}


def test_only_the_lift_sees_through_confounding() -> None:
    """A helpful item for hard tasks, a harmful one for easy ones; the kind of a task does not tell."""
    better = {scorer.name: scorer.scores(confounded(groups=60)) for scorer in SCORERS}
    assert {name for name, scores in better.items() if scores["helps"] > scores["harms"]} == {"lift"}


@pytest.mark.parametrize(
    "make", [lambda: MemRLScorer(alpha=0), lambda: MementoScorer(decay=0), lambda: MementoScorer(sweeps=0)]
)
def test_settings_that_cannot_work(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        make()


def test_memento_has_settled_after_its_sweeps() -> None:
    rollouts = play({"a": 0.3, "b": -0.3}, groups=20)
    goal = MementoScorer(sweeps=2000).scores(rollouts)
    assert MementoScorer().scores(rollouts) == pytest.approx(goal, abs=0.01)


def _root(function: Callable[[float], float]) -> float:
    """Return where a falling function is 0, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return low
