"""Credit in trees: what branches share is trained on once, and the advantages are fair to every turn.

The two-turn bandit again: a trunk, another play, and a third that branches off the trunk at its second turn, or
starts anew where the trunk has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgym.core.trace import Episode, Origin
from agentgym.training.advantages.base import Advantage
from agentgym.training.advantages.group import GroupMean, LeaveOneOut
from agentgym.training.advantages.raw import Score
from agentgym.training.advantages.step import StepGroup
from agentgym.training.guidance import only
from agentgym.training.packing import pack
from agentgym.training.shaping.base import Progress
from agentgym.training.shaping.branches import SoftAttribution
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values
from tests.training.bandit import GO, GRADIENT, PLAYS, Play, credit_table
from tests.training.conftest import EpisodeMaker
from tests.training.test_branching import branch_of

PER_TURN = GRADIENT / np.array([1.0, GO])
"""The gradient of each parameter, given that its turn is reached."""


def trees() -> Iterator[tuple[float, tuple[Play, ...], bool]]:
    """Every tree there can be, with its probability, and whether its third play is a branch of the first."""
    for trunk in PLAYS:
        going = len(trunk.states) > 1
        for other in PLAYS:
            for third in PLAYS:
                if going and len(third.states) == 1:
                    continue
                odds = third.probability / GO if going else third.probability
                yield trunk.probability * other.probability * odds, (trunk, other, third), going


def table_of(plays: Sequence[Play], branched: bool, *, shared: bool = True) -> TurnTable:
    table = credit_table([plays])
    if not branched:
        return table
    third = np.flatnonzero(table.trajectory_R == 2)
    decision_R = np.arange(len(table.turn_R))
    decision_R[third[0]] = 0
    told_R = np.arange(len(table.turn_R)) == third[0]
    return replace(
        table,
        tokens_R=np.where(told_R, 0, table.tokens_R),
        replayed_R=told_R,
        decision_R=np.unique(decision_R, return_inverse=True)[1] if shared else None,
    )


def pulls(advantage: Advantage, *, shared: bool = True) -> tuple[Values, Values]:
    """Return the expected sum of advantage x score over the trained turns, and their expected number, by parameter."""
    pull, count = np.zeros(2), np.zeros(2)
    for probability, plays, branched in trees():
        table = table_of(plays, branched, shared=shared)
        advantage_R = advantage(table)
        scores = [score for play in plays for score in play.scores]
        for row in np.flatnonzero(table.tokens_R):
            parameter, score = scores[row]
            pull[parameter] += probability * advantage_R[row] * score
            count[parameter] += probability
    return pull, count


def test_the_trees_are_all_there_are() -> None:
    assert sum(probability for probability, _, _ in trees()) == pytest.approx(1.0)


@pytest.mark.parametrize("advantage", [LeaveOneOut(), Score()])
def test_each_turn_of_a_tree_learns_the_gradient(advantage: Advantage) -> None:
    pull, count = pulls(advantage)
    np.testing.assert_allclose(pull, count * PER_TURN, rtol=1e-9)


def test_without_the_branches_share_it_would_not() -> None:
    """The trunk alone would be compared with a branch whose return its own first choice made possible."""
    pull, count = pulls(LeaveOneOut(), shared=False)
    assert abs(pull[0] / (count[0] * PER_TURN[0]) - 1) > 0.1


def test_a_mean_that_holds_the_branches_shrinks_what_they_share() -> None:
    pull, count = pulls(GroupMean())
    share = pull / (count * PER_TURN)
    assert share[1] == pytest.approx(2 / 3)
    assert share[0] < 2 / 3


def test_a_branch_gives_a_lone_step_something_to_compare_with() -> None:
    going = next(play for play in PLAYS if play.rewards == [0.0, 1.0])
    losing = next(play for play in PLAYS if play.rewards == [0.0, 0.0])
    stopping = PLAYS[0]
    step = StepGroup(std=False, gamma=1.0)
    alone = step(table_of([going, stopping], False)) - GroupMean()(table_of([going, stopping], False))
    assert alone[1] == 0
    table = table_of([going, stopping, losing], True)
    compared = step(table) - GroupMean()(table)
    last = np.flatnonzero(table.turn_R == 1)
    assert compared[last].tolist() == [0.5, -0.5]


def forked(make_episode: EpisodeMaker, scores: Sequence[float], turns: Sequence[int]) -> list[Episode]:
    """A trunk of four turns and branches that leave it, or the branch before, at the given turns."""
    group = [make_episode(0, 4, score=scores[0])]
    for number, (score, turn) in enumerate(zip(scores[1:], turns, strict=True), 1):
        trunk = group[-1] if number % 2 else group[0]
        group.append(branch_of(trunk, turn, make_episode(number, 4, score=score)))
    return group


score_lists = st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=4, max_size=4)
turn_lists = st.lists(st.integers(1, 3), min_size=3, max_size=3)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scores=score_lists, turns=turn_lists)
def test_shared_turns_have_the_mean_of_their_branches(
    make_episode: EpisodeMaker, scores: list[float], turns: list[int]
) -> None:
    group = forked(make_episode, scores, turns)
    table = TurnTable.from_episodes(group)
    rows = {(t, n): row for row, (t, n) in enumerate(zip(table.trajectory_R, table.turn_R, strict=True))}
    place = {episode.id: number for number, episode in enumerate(group)}

    def owner(member: int, turn: int) -> tuple[int, int]:
        origin = group[member].origin
        return (member, turn) if origin is None or turn >= origin.turn else owner(place[origin.episode], turn)

    through: dict[tuple[int, int], list[int]] = {}
    for member, turn in rows:
        through.setdefault(owner(member, turn), []).append(member)
    for (member, turn), row in rows.items():
        members = through[owner(member, turn)]
        assert table.branches_R[row] == len(members)
        assert table.score_R[row] == pytest.approx(np.mean([scores[m] for m in members]))
        own = owner(member, turn) == (member, turn)
        assert (table.tokens_R[row] > 0) == own, "trained once, in the trunk"
    trained = sum(int(turn.loss_mask.sum()) for turn in {id(t): t for e in group for t in e.turns}.values())
    assert sum(len(row.target) for row in pack(group)) == trained == table.tokens_R.sum()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scores=score_lists, turns=turn_lists)
def test_soft_attribution_is_every_branch_trained_by_itself(
    make_episode: EpisodeMaker, scores: list[float], turns: list[int]
) -> None:
    group = forked(make_episode, scores, turns)
    table, advantage = TurnTable.from_episodes(group), GroupMean(std=True)
    tokens = TokenTable.from_episodes(group)
    soft_N = SoftAttribution()(advantage(table)[tokens.turn_N], tokens, table, Progress(0, 1))
    apart_R = advantage(replace(table, decision_R=None))
    assert table.decision_R is not None
    total_D = np.bincount(table.decision_R, apart_R)
    assert soft_N == pytest.approx(total_D[table.decision_R[tokens.turn_N]])


def test_branches_without_their_trunk_share_among_themselves(make_episode: EpisodeMaker) -> None:
    trunk, *branches = forked(make_episode, [0.0, 1.0, 3.0, 0.0], [2, 2, 1])
    (one, other) = (branch_of(trunk, 2, branch) for branch in branches[:2])
    table = TurnTable.from_episodes([one, other])
    assert table.branches_R.tolist() == [2, 2, 1, 1] * 2
    assert table.score_R.tolist() == [2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    cut = only(TurnTable.from_episodes([trunk, one, other]), np.array([True, True, False]))
    assert cut.branches_R.tolist() == [2, 2, 1, 1] * 2
    assert TurnTable.from_episodes([trunk]).decision_R is None
    elsewhere = replace(one, group_id="h", origin=Origin(trunk.id, 2))
    assert TurnTable.from_episodes([trunk, elsewhere]).branches_R.tolist() == [1] * 8
