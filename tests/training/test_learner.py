"""The learner: its learning rates, and what it tells schedules of how the policy changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import PrivateAttr

from agentgym.core.errors import UsageError
from agentgym.core.trace import Episode
from agentgym.training.learner import Learner
from agentgym.training.packing import pack
from agentgym.training.recipe import OptimiserSection
from agentgym.training.schedules.base import LogRatios, Simultaneous, Step
from agentgym.training.turns import Indices, TurnTable, Values
from agentgym.training.update import Update
from tests.golden.toy import ToyPolicy, toy_episode


def rates(iterations: int, **settings: object) -> list[float]:
    section = OptimiserSection.model_validate({"lr": 1.0, **settings})
    learner = Learner(ToyPolicy([[0.0]], [0.0], 1), section, iterations=iterations)
    return [learner.learning_rate(iteration) for iteration in range(iterations)]


def test_constant() -> None:
    assert rates(4) == [1.0] * 4


def test_warm_up_rises_in_equal_parts_to_the_full_rate() -> None:
    assert rates(6, warmup=4) == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


def test_linear_falls_in_equal_parts_to_a_tenth() -> None:
    assert rates(5, decay="linear") == pytest.approx([1.0, 0.775, 0.55, 0.325, 0.1])


def test_cosine_falls_slowly_at_both_ends() -> None:
    assert rates(5, decay="cosine") == pytest.approx([1.0, 0.868198, 0.55, 0.231802, 0.1], abs=1e-6)


def test_decay_begins_after_the_warm_up() -> None:
    assert rates(5, warmup=2, decay="linear") == pytest.approx([0.5, 1.0, 1.0, 0.55, 0.1])


@given(st.integers(1, 30), st.integers(0, 40), st.sampled_from(["constant", "linear", "cosine"]))
def test_rates_stay_positive_and_never_above_the_full_one(iterations: int, warmup: int, decay: str) -> None:
    found = rates(iterations, warmup=warmup, decay=decay)
    assert all(0 < rate <= 1.0 for rate in found)
    assert found[: warmup + 1] == sorted(found[: warmup + 1])
    assert found[warmup:] == sorted(found[warmup:], reverse=True)


class Asking(Simultaneous):
    """Takes the turns' positions one by one, and keeps what it is told of them."""

    measured: bool = True
    _told: list[tuple[Indices, Values]] = PrivateAttr(default_factory=list[tuple[Indices, Values]])

    def steps(self, turns: TurnTable, seed: int, log_ratios: LogRatios) -> Iterator[Step]:
        for position in range(int(turns.turn_R.max()) + 1):
            rows = np.flatnonzero(turns.turn_R == position)
            yield Step(rows, measured=self.measured)
            self._told.append((rows, log_ratios(rows)))

    @property
    def told(self) -> list[tuple[Indices, Values]]:
        return self._told


class KeepsScores(torch.optim.SGD):
    """Notes the policy's log-probabilities of all tokens before the first step and after each."""

    def __init__(self, learner: Learner, played: list[Episode]) -> None:
        super().__init__(learner.model.parameters())
        self.score = lambda: learner.score(learner.model, pack(played), 10).logp_N
        self.scores = [self.score()]

    def step(self, closure: Any = None) -> None:
        super().step(closure)
        self.scores.append(self.score())


@pytest.mark.parametrize("middle", [-1.0, 0.0], ids=["all learn", "one is only measured"])
def test_schedules_are_told_the_mean_change_of_each_turn_in_the_last_step(middle: float) -> None:
    played = [
        toy_episode(0, [[0, 1], [2, 2]], "g", 1.0),
        toy_episode(1, [[1, 1]], "g", 0.0),
        toy_episode(2, [[2, 0], [0, 1]], "g", 0.5),
    ]
    table, schedule = TurnTable.from_episodes(played), Asking()
    model = ToyPolicy([[0.2, -0.1, 0.0], [0.1, 0.3, -0.2]], [0.0, 0.0, 0.1], 2)
    learner = Learner(model, OptimiserSection(lr=0.5), Update(schedule=schedule))
    optimiser: Any = KeepsScores(learner, played)
    learner.optimiser = optimiser
    learner.learn(played, table, np.array([1.0, middle, 0.5])[table.trajectory_R])
    assert [rows.tolist() for rows, _ in schedule.told] == [[0, 2, 3], [1, 4]]
    for step, (rows, told) in enumerate(schedule.told):
        change_RL = (optimiser.scores[step + 1] - optimiser.scores[step]).reshape(5, 2)
        np.testing.assert_allclose(told, change_RL[rows].mean(1), atol=1e-6)
        assert np.abs(told).max() > 1e-2


def test_a_step_without_gradient_changes_nothing() -> None:
    played = [toy_episode(0, [[0, 1], [2, 2]], "g", 1.0)]
    model, schedule = ToyPolicy([[0.2, -0.1, 0.0], [0.1, 0.3, -0.2]], [0.0, 0.0, 0.1], 2), Asking()
    learner = Learner(model, OptimiserSection(lr=0.5), Update(schedule=schedule))
    learner.learn(played, TurnTable.from_episodes(played), np.array([1.0, 0.0]))
    first, second = (float(told[0]) for _, told in schedule.told)
    assert first > 1e-2
    assert second == 0.0


def test_steps_are_as_long_as_their_schedule_says() -> None:
    played = [toy_episode(0, [[0, 1], [2, 2]], "g", 1.0)]
    moved: list[float] = []
    for scale in (1.0, 0.25):
        model = ToyPolicy([[0.2, -0.1, 0.0], [0.1, 0.3, -0.2]], [0.0, 0.0, 0.1], 2)
        before = torch.cat([parameter.detach().clone().flatten() for parameter in model.parameters()])
        learner = Learner(model, OptimiserSection(lr=0.1), Update(schedule=Simultaneous(step_scale=scale)))
        learner.learn(played, TurnTable.from_episodes(played), np.array([1.0, 1.0]))
        after = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
        moved.append(float((after - before).abs().max()))
    assert moved[0] == pytest.approx(0.1, rel=1e-3)  # AdamW's first step is as long as its rate
    assert moved[1] == pytest.approx(0.025, rel=1e-3)


def test_a_schedule_that_asks_must_say_so() -> None:
    played = [toy_episode(0, [[0]], "g", 1.0)]
    learner = Learner(ToyPolicy([[0.0, 0.0]], [0.0, 0.0], 1), update=Update(schedule=Asking(measured=False)))
    with pytest.raises(UsageError, match="`measured`"):
        learner.learn(played, TurnTable.from_episodes(played), np.ones(1))
