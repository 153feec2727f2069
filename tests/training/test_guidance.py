"""Guidance: the losses of guided tokens, their credit, and who may take whose place. Legend as in the package."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agentgym.core.errors import ConfigError
from agentgym.core.trace import Episode, Outcome
from agentgym.training.advantages.base import Advantage
from agentgym.training.advantages.group import GroupMean
from agentgym.training.advantages.hierarchy import Hierarchy
from agentgym.training.advantages.step import StepGroup
from agentgym.training.guidance import ExpertGuidance, NoGuidance, TeacherGuidance, only
from agentgym.training.guides import Group
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import PpoClip
from agentgym.training.losses.objective import Objective
from agentgym.training.recipe import load_recipe
from agentgym.training.turns import TurnTable, codes
from tests.training.conftest import TASK, EpisodeMaker

TEACHER = TeacherGuidance(teachers=("somewhere",))


def batch(logp: list[float], guided: list[bool], sampler: list[float], advantage: float = 1.0) -> TokenBatch:
    return TokenBatch(
        logp_N=torch.tensor(logp, requires_grad=True),
        old_logp_N=torch.tensor(sampler),
        advantage_N=torch.full((len(logp),), advantage),
        turn_N=torch.arange(len(logp)),
        sampler_logp_N=torch.tensor(sampler),
        guided_N=torch.tensor(guided),
    )


def gradient(loss_N: Tensor, tokens: TokenBatch) -> list[float]:
    (found,) = torch.autograd.grad(loss_N.sum(), tokens.logp_N)
    return [float(value) for value in found]


def test_a_teachers_token_pulls_most_where_the_policy_finds_it_improbable() -> None:
    probabilities = [0.01, 0.1, 0.9]
    tokens = batch([float(np.log(p)) for p in probabilities], [True] * 3, [0.0] * 3, advantage=2.0)
    loss_N, clipped_N = TEACHER.loss(tokens)
    assert loss_N.tolist() == pytest.approx([-2 * p / (p + 0.1) for p in probabilities], rel=1e-5)
    # d f / d logp = offset p / (p + offset)^2, largest at p = offset
    assert gradient(loss_N, tokens) == pytest.approx(
        [-2 * 0.1 * p / (p + 0.1) ** 2 for p in probabilities], rel=1e-5
    )
    assert not clipped_N.any()


def test_an_earlier_success_weighs_by_its_ratio_up_to_a_limit() -> None:
    tokens = batch([-1.0, -1.0, -1.0], [True] * 3, [-1.0, -0.5, -2.0])
    loss_N, clipped_N = ExpertGuidance(most=1.2).loss(tokens)
    assert loss_N.tolist() == pytest.approx([-1.0, -np.exp(-0.5), -1.2], rel=1e-5)
    assert gradient(loss_N, tokens) == pytest.approx([-1.0, -np.exp(-0.5), 0.0], rel=1e-5)
    assert clipped_N.tolist() == [False, False, True]


def test_only_guided_tokens_have_the_guided_loss() -> None:
    tokens = batch([-1.0, -1.0, -0.2], [False, True, False], [-1.0, 0.0, -1.0])
    plain = Objective(clip=PpoClip(dual=0.0))
    guided = replace(plain, guided=TEACHER.loss)
    own, mixed = plain(tokens), guided(tokens)
    assert mixed.loss_N[[0, 2]].tolist() == own.loss_N[[0, 2]].tolist()
    assert mixed.clipped_N.tolist() == [False, False, True]
    assert mixed.loss_N[1].item() == pytest.approx(-np.exp(-1.0) / (np.exp(-1.0) + 0.1), rel=1e-5)
    assert torch.isfinite(torch.tensor(gradient(mixed.loss_N, tokens))).all()


def table_of(make: EpisodeMaker, scores: list[float], groups: list[str] | None = None) -> TurnTable:
    names = groups or ["g"] * len(scores)
    return TurnTable.from_episodes(
        [
            make(n, 1 + n % 3, group=group, score=score)
            for n, (score, group) in enumerate(zip(scores, names, strict=True))
        ]
    )


def test_with_own_statistics_a_failing_group_learns_from_its_helper_alone(make_episode: EpisodeMaker) -> None:
    table = table_of(make_episode, [0.0, 0.0, 0.0, 1.0])
    guided_T = np.array([False, False, False, True])
    advantage_R = TEACHER.credit(GroupMean(std=True), table, guided_T)
    assert advantage_R.tolist() == [float(t == 3) for t in table.trajectory_R]


def test_with_all_in_the_statistics_the_failures_are_discouraged_too(make_episode: EpisodeMaker) -> None:
    table = table_of(make_episode, [0.0, 0.0, 0.0, 1.0])
    guided_T = np.array([False, False, False, True])
    advantage_R = ExpertGuidance().credit(GroupMean(std=True), table, guided_T)
    expected = np.array([-0.5, -0.5, -0.5, 1.5])[table.trajectory_R]
    assert advantage_R == pytest.approx(expected, abs=1e-5)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5]), min_size=2, max_size=6), st.integers(0, 9))
def test_helpers_leave_the_credit_of_the_policys_own_turns_alone(scores: list[float], seed: int) -> None:
    table = random_table([*scores, 1.0], seed)
    guided_T = np.arange(len(scores) + 1) == len(scores)
    for advantage in (GroupMean(std=True), StepGroup()):
        with_help = TEACHER.credit(advantage, table, guided_T)
        own_R = ~guided_T[table.trajectory_R]
        assert with_help[own_R] == pytest.approx(advantage(only(table, ~guided_T)))
        deviation = np.std(scores, ddof=1)
        z = (1.0 - np.mean(scores)) / (1.0 if np.ptp(scores) == 0 else deviation)
        assert with_help[~own_R] == pytest.approx(np.full(int((~own_R).sum()), z))
        assert NoGuidance().credit(advantage, table, guided_T) == pytest.approx(advantage(table))


def random_table(scores: list[float], seed: int) -> TurnTable:
    random = np.random.default_rng(seed)
    length_T = random.integers(1, 4, len(scores))
    trajectory_R = np.repeat(np.arange(len(scores)), length_T)
    return TurnTable(
        trajectory_R=trajectory_R,
        turn_R=np.concatenate([np.arange(int(length)) for length in length_T]),
        state_R=random.integers(0, 3, len(trajectory_R)),
        reward_R=random.choice([0.0, 1.0], len(trajectory_R)),
        valid_R=np.ones(len(trajectory_R), np.bool_),
        tokens_R=np.ones(len(trajectory_R), np.int64),
        group_T=np.zeros(len(scores), np.int64),
        score_T=np.array(scores),
    )


def test_the_last_scored_members_make_room_and_one_always_stays(make_episode: EpisodeMaker) -> None:
    members = [make_episode(n) for n in range(3)]
    helpers = [make_episode(n, score=1.0) for n in (7, 8, 9)]
    group = Group("g", TASK, members)
    assert group.fails

    def places(found: Group) -> list[int]:
        return [index for index, guided in enumerate(found.guided) if guided]

    assert places(group.with_help(helpers, 1)) == [2]
    assert group.with_help(helpers, 1).episodes[2] is helpers[0]
    assert places(group.with_help(helpers, 5)) == [1, 2]
    assert places(group.with_help(helpers[:1], 2)) == [2]
    assert places(group.with_help([], 2)) == []
    assert not group.with_help(helpers, 1).fails


def unscored(episode: Episode) -> Episode:
    return replace(episode, outcome=Outcome.ENV_ERROR, score=None)


def test_a_lost_member_is_not_replaced(make_episode: EpisodeMaker) -> None:
    members = [make_episode(0), make_episode(1), unscored(make_episode(2))]
    helped = Group("g", TASK, members).with_help([make_episode(7, score=1.0)], 1)
    assert helped.guided == [False, True, False]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["guidance=expert", "guidance.members=8"], r"replace whole groups of 8"),
        (["guidance=teacher"], r"teachers: is missing"),
        (["guidance={name = 'teacher', teachers = ['']}"], r"teachers"),
        (["sampling=dynamic", "rollout.group_size=1"], r"'dynamic' keeps every group of one.*'prioritised'"),
        (["branching=random_turn", "rollout.group_size=1"], r"needs members to branch off"),
    ],
)
def test_what_does_not_fit_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("grpo", settings)


@pytest.mark.parametrize("advantage", [StepGroup(weight=1.0), Hierarchy()])
def test_replayed_turns_are_no_measure_for_those_that_were_chosen(advantage: Advantage) -> None:
    table = random_table([0.0, 1.0, 0.0, 1.0], 3)
    replayed_R = (table.turn_R == 0) & (table.trajectory_R < 2)
    marked = replace(table, replayed_R=replayed_R)
    apart = replace(table, state_R=np.where(replayed_R, 100 + np.arange(len(replayed_R)), table.state_R))
    recoded = replace(apart, state_R=codes(apart.state_R.tolist()))
    if isinstance(advantage, StepGroup):
        assert advantage(marked) == pytest.approx(advantage(recoded))
    else:
        assert not advantage(marked)[replayed_R].any()
    assert not np.allclose(advantage(marked), advantage(table))
