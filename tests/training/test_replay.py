"""Which earlier episodes come back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgym.core.trace import Episode, Outcome
from agentgym.training.replay import NoReplay, RecentReplay
from tests.training.conftest import EpisodeMaker

GROUPS = 6


@pytest.fixture
def history(make_episode: EpisodeMaker) -> list[list[Episode]]:
    """Five iterations of six groups of two."""
    return [
        [
            make_episode(iteration * 100 + group * 10 + member, 1, group=f"{iteration}-{group}")
            for group in range(GROUPS)
            for member in range(2)
        ]
        for iteration in range(5)
    ]


def test_groups_come_back_whole_and_make_up_their_share(history: list[list[Episode]]) -> None:
    drawn = RecentReplay(iterations=2, share=0.4).draw(history[4], 4, 0, history.__getitem__)
    groups = [episode.group_id for episode in drawn]
    assert len(drawn) == 2 * 4  # 4 groups of 10
    assert all(groups.count(group) == 2 for group in groups)
    assert {group[0] for group in groups} <= {"2", "3"}


def test_there_is_nothing_before_the_beginning(history: list[list[Episode]]) -> None:
    asked: list[int] = []

    def recall(iteration: int) -> Iterable[Episode]:
        asked.append(iteration)
        return history[iteration]

    assert RecentReplay(iterations=3, share=0.9).draw(history[0], 0, 0, recall) == []
    assert len(RecentReplay(iterations=3, share=0.9).draw(history[1], 1, 0, recall)) == 2 * GROUPS
    assert asked == [0]
    assert NoReplay().draw(history[4], 4, 0, recall) == []


def test_after_the_reincarnation_nothing_is_replayed(history: list[list[Episode]]) -> None:
    part = RecentReplay(reincarnate_at=3)
    assert part.renewal == 3
    assert part.draw(history[2], 2, 0, history.__getitem__)
    assert part.draw(history[3], 3, 0, history.__getitem__) == []


def test_what_has_no_score_or_no_token_stays_away(history: list[list[Episode]]) -> None:
    silent = [replace(episode, turns=[]) for episode in history[1]]
    failed = [replace(episode, outcome=Outcome.ENV_ERROR, score=None) for episode in history[0]]
    assert RecentReplay(share=0.9).draw(history[2], 2, 0, [failed, silent].__getitem__) == []


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), order=st.randoms(use_true_random=False))
def test_the_draw_does_not_depend_on_the_order_of_writing(
    history: list[list[Episode]], seed: int, order: Random
) -> None:
    part = RecentReplay(share=0.3)
    drawn = part.draw(history[4], 4, seed, history.__getitem__)
    mixed = [sorted(episodes, key=lambda _: order.random()) for episodes in history]
    again = part.draw(history[4], 4, seed, mixed.__getitem__)
    assert [episode.id for episode in again] == [episode.id for episode in drawn]
