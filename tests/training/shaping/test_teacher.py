"""On-policy distillation's advantage."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agentgym.training.shaping.base import Progress
from agentgym.training.shaping.teacher import TeacherAdvantage
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values
from tests.training.conftest import EpisodeMaker


@pytest.fixture
def shaped(make_episode: EpisodeMaker) -> Callable[..., Values]:
    def shape(settings: dict[str, Any], teacher: list[float], guided: bool = False) -> Values:
        """Three tokens sampled at -1, -0.5 and -2 nats, with an advantage of 10 each."""
        episode = make_episode(0, turns=1)
        sampled = np.array([-1.0, -0.5, -2.0], np.float32)
        turn = replace(
            episode.turns[0], completion_ids=np.arange(3), logprobs=sampled, loss_mask=np.ones(3, np.int8)
        )
        episodes = [replace(episode, turns=(turn,))]
        tokens = TokenTable.from_episodes(episodes, [guided])
        tokens = replace(tokens, teacher_logp_N=np.array(teacher, np.float32))
        part = TeacherAdvantage.model_validate(settings)
        return part(np.full(3, 10.0), tokens, TurnTable.from_episodes(episodes), Progress(0, 1))

    return shape


def test_the_worked_example(shaped: Callable[..., Values]) -> None:
    advantage_N = shaped({}, [-0.7, -1.5, math.nan])
    np.testing.assert_allclose(advantage_N, [0.3, -1.0, 0.0], atol=1e-6)


def test_added_to_the_advantage_it_leaves_tokens_without_a_teacher_alone(
    shaped: Callable[..., Values],
) -> None:
    advantage_N = shaped({"mode": "add", "coefficient": 0.5}, [-0.7, -1.5, math.nan])
    np.testing.assert_allclose(advantage_N, [10.15, 9.5, 10.0], atol=1e-6)


def test_the_clip_bounds_both_sides_and_is_off_by_default(shaped: Callable[..., Values]) -> None:
    assert shaped({}, [-31.0, -0.5, -2.0])[0] == pytest.approx(-30.0)
    np.testing.assert_allclose(shaped({"clip": 5.0}, [-31.0, 0.0, -2.0]), [-5.0, 0.5, 0.0], atol=1e-6)


def test_what_another_policy_did_is_no_sample_of_the_policy(shaped: Callable[..., Values]) -> None:
    assert not shaped({}, [-0.7, -1.5, -2.0], guided=True).any()
    assert (shaped({"mode": "add"}, [-0.7, -1.5, -2.0], guided=True) == 10.0).all()
