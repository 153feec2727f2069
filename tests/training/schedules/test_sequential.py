"""The sequential schedule: which rows, in which order, with which factors, and that trajectories keep theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agentgym.core.trace import Episode
from agentgym.training.learner import Learner
from agentgym.training.losses.aggregations import TurnMean
from agentgym.training.losses.clips import PpoClip
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.ratios import TurnRatio
from agentgym.training.packing import pack
from agentgym.training.recipe import OptimiserSection, load_recipe
from agentgym.training.schedules.base import LogRatios, Schedule, Step
from agentgym.training.schedules.sequential import Sequential
from agentgym.training.turns import Indices, TurnTable, Values
from agentgym.training.update import Update
from tests.golden.toy import ToyPolicy, toy_episode

LENGTH = 2
"""Tokens of a toy answer."""


def episodes(*turns: int, seed: int = 0) -> list[Episode]:
    """Toy episodes of so many turns each, in one group, with scores of their own."""
    random = np.random.default_rng(seed)
    return [
        toy_episode(number, random.integers(0, 3, (count, LENGTH)).tolist(), "g", float(random.random()))
        for number, count in enumerate(turns)
    ]


def steps(schedule: Schedule, table: TurnTable, change_R: Values | None = None) -> list[Step]:
    """The steps of a schedule under a policy whose turns change by the mean log-ratios `change_R` when trained."""
    change_R = np.zeros(len(table.turn_R)) if change_R is None else change_R
    return list(schedule.steps(table, 0, lambda rows: change_R[rows]))


def factors(step: Step, table: TurnTable) -> dict[int, float]:
    """The factor of each trajectory in a step."""
    assert step.factor_R is not None
    found = step.factor_R[step.rows].tolist()
    return dict(zip(table.trajectory_R[step.rows].tolist(), found, strict=True))


def test_each_step_is_one_position_the_last_ones_first() -> None:
    table = TurnTable.from_episodes(episodes(3, 1, 2))
    taken = [(table.turn_R[step.rows].tolist(), step.fresh) for step in steps(Sequential(), table)]
    assert taken == [([2], True), ([1, 1], True), ([0, 0, 0], True)]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("reverse", [3, 2, 1, 0]),
        ("natural", [0, 1, 2, 3]),
        ([2, 7], [2, 0, 1, 3]),
        ([1, 3, 0, 2], [1, 3, 0, 2]),
    ],
)
def test_orders(order: object, expected: list[int]) -> None:
    assert Sequential.model_validate({"order": order}).positions(4, seed=0) == expected


@given(st.integers(0, 30), st.integers(0, 1000))
def test_a_random_order_has_every_position_once_and_follows_the_seed(count: int, seed: int) -> None:
    schedule = Sequential(order="random")
    assert sorted(schedule.positions(count, seed)) == list(range(count))
    assert schedule.positions(count, seed) == schedule.positions(count, seed)


def test_the_released_chain_of_the_worked_example() -> None:
    """Ratios of whole turns .., 1.30 and 0.70 are held at 1.2 and 0.8, each and as a product."""
    table = TurnTable.from_episodes(episodes(3, 3, 3, 3))
    change_R = np.zeros(12)
    change_R[table.turn_R == 2] = np.log([1.05, 0.97, 1.30, 0.70])
    change_R[table.turn_R == 1] = np.log([1.02, 0.99, 1.10, 0.95])
    found = [factors(step, table) for step in steps(Sequential().as_published(), table, change_R)]
    assert list(found[0].values()) == [1.0] * 4
    assert list(found[1].values()) == pytest.approx([1.05, 0.97, 1.2, 0.8])
    assert list(found[2].values()) == pytest.approx([1.071, 0.9603, 1.2, 0.8])


def test_the_papers_chain_is_the_product_of_true_ratios() -> None:
    table = TurnTable.from_episodes(episodes(3, 2))
    change_R = np.array([9.0, 0.2, -0.4, 9.0, 0.1])
    found = [factors(step, table) for step in steps(Sequential(low=1, high=np.inf), table, change_R)]
    assert found[1] == pytest.approx({0: np.exp(-0.4 * LENGTH), 1: 1.0})
    assert found[2] == pytest.approx({0: np.exp((0.2 - 0.4) * LENGTH), 1: np.exp(0.1 * LENGTH)})


def test_our_chain_stays_between_a_half_and_two() -> None:
    table = TurnTable.from_episodes(episodes(2, 2, 2))
    found = steps(Sequential(), table, np.array([0.0, 1.0, 0.0, -1.0, 0.0, 0.1]))
    assert list(factors(found[1], table).values()) == pytest.approx([2.0, 0.5, np.exp(0.2)])


@pytest.mark.parametrize(
    ("order", "expected"), [("reverse", [[2], [1, 4]]), ("natural", [[0, 3], [1]]), ("random", None)]
)
def test_only_chains_that_go_on_are_asked_about(order: str, expected: list[list[int]] | None) -> None:
    table, asked = TurnTable.from_episodes(episodes(3, 2, 1)), list[list[int]]()

    def log_ratios(rows: Indices) -> Values:
        asked.append(rows.tolist())
        return np.zeros(len(rows))

    list(Sequential.model_validate({"order": order}).steps(table, 0, log_ratios))
    assert 5 not in [row for rows in asked for row in rows], "a trajectory of one turn has no chain"
    if expected is not None:
        assert asked == expected


def test_placeholders_stand_in_with_their_last_turn_and_no_advantage() -> None:
    table = TurnTable.from_episodes(episodes(3, 1))
    change_R = np.array([0.0, 0.0, 0.0, np.log(1.1)])
    found = steps(Sequential().as_published(), table, change_R)
    assert [step.rows.tolist() for step in found] == [[2, 3], [1, 3], [0, 3]]
    assert [factors(step, table)[1] for step in found] == [0.0, 0.0, pytest.approx(1.2)]
    without = steps(Sequential(chain="mean", low=0.2, high=0.2), table, change_R)
    assert [step.rows.tolist() for step in without] == [[2], [1], [0, 3]]
    assert factors(without[2], table)[1] == 1.0


class ByPlace(Sequential):
    """The mistake to be caught: the chain stays with the place of a row in its step, not with its trajectory."""

    def steps(self, turns: TurnTable, seed: int, log_ratios: LogRatios) -> Iterator[Step]:
        chain = np.ones(len(turns.score_T))
        for position in self.positions(int(turns.turn_R.max()) + 1, seed):
            rows = np.flatnonzero(turns.turn_R == position)
            factor_R = np.ones(len(turns.turn_R))
            factor_R[rows] = chain[: len(rows)]
            yield Step(rows, factor_R, fresh=True, measured=True)
            chain[: len(rows)] = self.extend(chain[: len(rows)], log_ratios(rows), turns.tokens_R[rows])


def learned(schedule: Schedule, played: list[Episode], advantage_T: dict[str, float]) -> Tensor:
    """The weights after one iteration of real steps on a toy policy, flat."""
    model = ToyPolicy([[0.3, -0.2, 0.1], [0.0, 0.4, -0.1], [-0.3, 0.2, 0.2]], [0.0, 0.1, 0.0], LENGTH)
    objective = Objective(TurnRatio(), PpoClip(dual=0), aggregation=TurnMean())
    settings = OptimiserSection(lr=0.8, grad_clip=1e9)
    learner = Learner(model, settings, Update(objective, schedule))
    sgd: Any = torch.optim.SGD(model.parameters(), lr=0.8)
    learner.optimiser = sgd
    table = TurnTable.from_episodes(played)
    advantage_R = np.array([advantage_T[played[t].id] for t in table.trajectory_R])
    learner.learn(played, table, advantage_R)
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


ADVANTAGES = {"e0": 1.0, "e1": -1.5, "e2": 0.7, "e3": -0.2}


def moved(schedule: Schedule, order: list[int]) -> float:
    """How far the weights end from each other when the same episodes come in another order."""
    played = episodes(1, 3, 2, 3)
    there = learned(schedule, played, ADVANTAGES)
    return float((there - learned(schedule, [played[n] for n in order], ADVANTAGES)).abs().max())


@pytest.mark.parametrize("settings", [{}, {"order": "natural"}, Sequential.published])
@pytest.mark.parametrize("order", [[3, 2, 1, 0], [1, 0, 3, 2]])
def test_the_order_of_the_episodes_changes_nothing(settings: dict[str, object], order: list[int]) -> None:
    assert moved(Sequential.model_validate(settings), order) < 1e-6


def test_a_chain_by_place_is_found_out() -> None:
    assert moved(ByPlace(), [3, 2, 1, 0]) > 1e-3


def test_the_chain_changes_what_is_learned() -> None:
    free, none = Sequential(low=1, high=np.inf), Sequential(low=0, high=0)
    played = episodes(1, 3, 2, 3)
    assert (learned(free, played, ADVANTAGES) - learned(none, played, ADVANTAGES)).abs().max() > 1e-3


def test_ratios_are_to_the_policy_just_before_the_step() -> None:
    """A clip that allows no change at all clips nothing: at the beginning of its step every turn's ratio is 1."""

    class Stale(Sequential):
        def steps(self, turns: TurnTable, seed: int, log_ratios: LogRatios) -> Iterator[Step]:
            for step in super().steps(turns, seed, log_ratios):
                yield replace(step, fresh=False)

    shares: list[float] = []
    for schedule in (Sequential(), Stale()):
        model = ToyPolicy([[0.3, -0.2, 0.1]] * 3, [0.0, 0.1, 0.0], LENGTH)
        objective = Objective(TurnRatio(), PpoClip(low=1e-4, high=1e-4, dual=0), aggregation=TurnMean())
        learner = Learner(model, OptimiserSection(lr=0.1), Update(objective, schedule))
        played = with_logprobs(learner, episodes(3, 3, 3))
        table = TurnTable.from_episodes(played)
        metrics = learner.learn(played, table, np.array([1.0, -1.0, 0.5])[table.trajectory_R])
        shares.append(metrics["clip_share"])
    assert shares[0] == 0.0
    assert shares[1] > 0.0


def with_logprobs(learner: Learner, played: list[Episode]) -> list[Episode]:
    """The episodes as the model itself would have reported them."""
    count = sum(len(turn.completion_ids) for episode in played for turn in episode.turns)
    logp_N = learner.score(learner.model, pack(played), count).logp_N
    for index, turn in enumerate(turn for episode in played for turn in episode.turns):
        turn.logprobs[:] = logp_N[LENGTH * index : LENGTH * (index + 1)]
    return played


def test_the_recipe_has_the_papers_form_and_the_released_one() -> None:
    recipe, released = load_recipe("seeupo"), load_recipe("seeupo", ["as_published=true"])
    assert recipe.schedule == Sequential(order="reverse", chain="sequence", low=0.5, high=1.0)
    assert (recipe.ratio.name, recipe.aggregation.name) == ("turn", "turn_mean")
    assert released.schedule == Sequential().as_published()
    assert (released.ratio.name, released.aggregation.name) == ("token", "token_mean")
    assert load_recipe("seeupo", ["as_published=true", "ratio=turn"]).ratio.name == "turn"
    assert load_recipe("seeupo", ["schedule.order=natural"]).schedule == Sequential(order="natural")
    paper = load_recipe("seeupo", ["schedule.low=1", "schedule.high=inf"])
    assert paper.schedule == Sequential(low=1, high=np.inf)
