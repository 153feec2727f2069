"""Where groups branch: by entropy within a budget, and at states that one member met."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgym.core.trace import Episode, Origin, Outcome, Thought, Turn
from agentgym.rollout.collect import EpisodePlan
from agentgym.training.branching import (
    EntropyRise,
    Fork,
    LoneSteps,
    NoBranching,
    Played,
    RandomTurn,
    grow,
    own_turns,
)
from tests.training.conftest import TASK, EpisodeMaker

VOCABULARY = 100
ALWAYS = EntropyRise(base=1.0, weight=0.0)


def group_of(*episodes: Episode) -> list[Played]:
    return [Played(episode, ()) for episode in episodes]


def waiting(count: int) -> list[EpisodePlan]:
    return [EpisodePlan(TASK, f"w{number}", "g", 50 + number) for number in range(count)]


def with_turns(episode: Episode, **columns: Sequence[object]) -> Episode:
    turns = [
        replace(turn, **{name: values[number] for name, values in columns.items()})  # type: ignore[arg-type]
        for number, turn in enumerate(episode.turns)
    ]
    return replace(episode, turns=turns)


def told(turn: Turn) -> Turn:
    return replace(turn, policy_version=-1, loss_mask=np.zeros_like(turn.loss_mask))


def branch_of(trunk: Episode, turn: int, own: Episode) -> Episode:
    """An episode that left `trunk` at a turn and went on as `own`."""
    turns = [*map(told, trunk.turns[:turn]), *own.turns[turn:]]
    return replace(own, turns=turns, origin=Origin(trunk.id, turn))


@pytest.mark.parametrize(
    ("part", "size", "trunks"),
    [
        (NoBranching(), 8, 8),
        (RandomTurn(), 8, 1),
        (EntropyRise(), 16, 8),
        (EntropyRise(), 2, 1),
        (EntropyRise(initial=0.9), 3, 2),
        (EntropyRise(initial=0.1), 3, 1),
        (LoneSteps(initial=0.75), 8, 6),
        (LoneSteps(), 1, 1),
    ],
)
def test_some_members_are_trunks_and_some_are_left(
    part: EntropyRise | LoneSteps | NoBranching | RandomTurn, size: int, trunks: int
) -> None:
    assert part.trunks(size) == trunks


def test_first_turns_branch_first_and_the_budget_is_kept(make_episode: EpisodeMaker) -> None:
    group = group_of(make_episode(1, 4), make_episode(2, 2), make_episode(3, 4))
    expected = [Fork(1, 0), Fork(1, 1), Fork(1, 2), Fork(2, 0), Fork(2, 2), Fork(3, 0), Fork(3, 2)]
    assert ALWAYS.forks(group, 9, VOCABULARY, 0) == expected
    assert ALWAYS.forks(group, 4, VOCABULARY, 0) == expected[:4]
    twice = ALWAYS.model_copy(update={"beam": 3}).forks(group, 5, VOCABULARY, 0)
    assert twice == [Fork(1, 0), Fork(1, 0), Fork(1, 1), Fork(1, 1), Fork(1, 2)]
    plans = grow(ALWAYS, group, waiting(3), VOCABULARY)
    assert [plan.episode_id for plan in plans] == ["w0", "w1", "w2"]
    assert [(plan.seed, plan.agent_seed, len(plan.prefix)) for plan in plans] == [
        (episode.seed, 50 + number, 1) for number, (episode, _) in enumerate(group)
    ]
    assert [plan.start.origin for plan in plans if plan.start] == [Origin(e.id, 1) for e, _ in group]


def test_who_is_left_when_no_turn_is_drawn_starts_anew(make_episode: EpisodeMaker) -> None:
    never = EntropyRise(base=0.0, weight=0.0)
    group = group_of(make_episode(1, 4), make_episode(2, 4))
    assert grow(never, group, waiting(3), VOCABULARY) == waiting(3)
    short = group_of(make_episode(1, 1), replace(make_episode(2, 4), outcome=Outcome.ENV_ERROR, score=None))
    assert grow(ALWAYS, short, waiting(2), VOCABULARY) == waiting(2)
    assert grow(ALWAYS, group, [], VOCABULARY) == []


def test_a_branch_is_branched_after_its_own_first_turn(make_episode: EpisodeMaker) -> None:
    trunk = make_episode(1, 5)
    branch = branch_of(trunk, 2, make_episode(2, 5))
    group = group_of(trunk, branch)
    assert own_turns(group) == [Fork(n, 0) for n in (1, 2, 3, 4)] + [Fork(n, 1) for n in (3, 4)]
    made = {Fork(2, 0)}
    assert set(ALWAYS.forks(group, 99, VOCABULARY, 0)) == set(own_turns(group)) - made


def test_only_turns_that_can_be_forked_at_branch(make_episode: EpisodeMaker) -> None:
    episode = make_episode(1, 5)
    retried = with_turns(episode, thoughts=[(), (), (Thought(0, 0, *[np.empty(0, np.int32)] * 4),), (), ()])  # type: ignore[arg-type]
    assert ALWAYS.forks(group_of(retried), 99, VOCABULARY, 0) == [Fork(1, 0), Fork(2, 0)]
    turns = {
        RandomTurn().forks(group_of(replace(retried, seed=n)), 1, VOCABULARY, 0)[0].turn for n in range(40)
    }
    assert turns == {0, 1, 2}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 50), st.integers(1, 6))
def test_a_turn_that_was_asked_before_answers_the_same(
    make_episode: EpisodeMaker, seed: int, budget: int
) -> None:
    part = EntropyRise()
    trunks = [make_episode(seed + n, 5) for n in range(3)]
    whole = part.forks(group_of(*trunks), 99, VOCABULARY, 0)
    first = part.forks(group_of(*trunks), budget, VOCABULARY, 0)
    assert first == whole[:budget]
    branches = [
        branch_of(trunks[fork.member], fork.turn, make_episode(100 + n, 5)) for n, fork in enumerate(first)
    ]
    rest = part.forks(group_of(*trunks, *branches), 99, VOCABULARY, 0)
    assert [fork for fork in rest if fork.member < 3] == whole[budget:]
    assert all(fork.turn > first[fork.member - 3].turn for fork in rest if fork.member >= 3)


def test_the_probability_is_arpos(make_episode: EpisodeMaker) -> None:
    logps = [np.full(30, -value, np.float32) for value in (0.5, 0.5, 2.0, 0.1)]
    ids, mask = np.zeros(30, np.int32), np.ones(30, np.int8)
    episode = with_turns(make_episode(1, 4), logprobs=logps, completion_ids=[ids] * 4, loss_mask=[mask] * 4)
    part, share = EntropyRise(), 20 / math.log(VOCABULARY)
    assert part.probability(episode, 1, VOCABULARY) == pytest.approx(0.5)
    assert part.probability(episode, 2, VOCABULARY) == pytest.approx(min(0.5 + 0.2 * 1.5 * share, 1.0))
    assert part.probability(episode, 3, VOCABULARY) == pytest.approx(0.5 - 0.2 * 0.4 * share)
    few = EntropyRise(tokens=2).probability(episode, 2, VOCABULARY)
    assert few == pytest.approx(0.5 + 0.2 * 1.5 * 2 / math.log(VOCABULARY))


def test_a_dictated_beginning_does_not_say_how_sure_the_policy_is(make_episode: EpisodeMaker) -> None:
    logps = [np.full(30, -value, np.float32) for value in (0.0, 0.5, 0.5, 0.6)]
    ids, masks = np.zeros(30, np.int32), [np.full(30, number > 0, np.int8) for number in range(4)]
    episode = with_turns(make_episode(1, 4), logprobs=logps, completion_ids=[ids] * 4, loss_mask=masks)
    part, rise = EntropyRise(base=0.3), 0.1 * 20 / math.log(VOCABULARY)
    assert part.probability(episode, 2, VOCABULARY) == pytest.approx(0.3)
    assert part.probability(episode, 3, VOCABULARY) == pytest.approx(0.3 + 0.2 * rise)


def test_turns_branch_as_often_as_they_should(make_episode: EpisodeMaker) -> None:
    episode, part = make_episode(1, 2), EntropyRise(base=0.3, weight=0.02)
    expected = part.probability(episode, 1, VOCABULARY)
    assert 0.1 < expected < 0.9
    group = group_of(*(replace(episode, id=f"e{number}") for number in range(2000)))
    drawn = len(part.forks(group, 9999, VOCABULARY, 0))
    assert abs(drawn / 2000 - expected) < 4 * math.sqrt(expected * (1 - expected) / 2000)


def test_lone_states_are_branched_where_they_were_first_met(make_episode: EpisodeMaker) -> None:
    one = with_turns(make_episode(1, 5), state_key=["s", "a", "b", "a", "c"])
    other = with_turns(make_episode(2, 4), state_key=["s", "c", "d", "d"])
    part = LoneSteps()
    found = part.forks(group_of(one, other), 99, VOCABULARY, 7)
    assert set(found) == {Fork(1, 0), Fork(2, 0), Fork(2, 1)}
    assert len(found) == 3
    assert part.forks(group_of(one, other), 2, VOCABULARY, 7) == found[:2]
    orders = {tuple(part.forks(group_of(one, other), 1, VOCABULARY, seed)) for seed in range(30)}
    assert len(orders) == 3, "each of them is drawn at times"
    # A branch stands where its trunk stood: that state is met by two, and what it told before is the trunk's.
    branch = branch_of(one, 2, with_turns(make_episode(3, 4), state_key=["s", "a", "b", "e"]))
    assert set(part.forks(group_of(one, other, branch), 99, VOCABULARY, 7)) == {
        Fork(1, 0),
        Fork(2, 1),
        Fork(3, 2),
    }
    unscored = replace(other, outcome=Outcome.ENV_ERROR, score=None)
    assert {fork.member for fork in part.forks(group_of(one, unscored), 99, VOCABULARY, 7)} == {0}


states = st.lists(st.sampled_from("abcdefgh"), min_size=5, max_size=5)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(own=states, other=states, future=states, turn=st.integers(1, 3))
def test_whether_a_lone_state_is_branched_says_nothing_about_what_was_done_there(
    make_episode: EpisodeMaker, own: list[str], other: list[str], future: list[str], turn: int
) -> None:
    def is_branched(path: list[str]) -> bool:
        group = group_of(
            with_turns(make_episode(1, 5), state_key=path), with_turns(make_episode(2, 5), state_key=other)
        )
        return Fork(turn, 0) in LoneSteps().forks(group, 99, VOCABULARY, 0)

    assert is_branched(own) == is_branched([*own[: turn + 1], *future[turn + 1 :]])
