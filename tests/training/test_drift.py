"""How far the policy has moved since a task was played."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.training.drift import episode_drift, with_drift
from agentgym.training.learner import Learner
from agentgym.training.packing import pack
from agentgym.training.tokens import Floats, TokenTable
from agentgym.training.turns import TurnTable
from tests.training.conftest import EpisodeMaker


def test_the_drift_is_the_mean_change_of_an_episodes_own_tokens(
    model: PreTrainedModel, make_episode: EpisodeMaker
) -> None:
    learner = Learner(model)
    episodes = [make_episode(1), make_episode(2, turns=1), make_episode(3, window=True)]
    alone = [
        np.abs(now(learner, [one]) - TokenTable.from_episodes([one]).sampler_logp_N).mean()
        for one in episodes
    ]
    np.testing.assert_allclose(episode_drift(learner, episodes), alone, rtol=1e-4)


def test_a_policy_that_has_not_moved_has_not_drifted(
    model: PreTrainedModel, make_episode: EpisodeMaker
) -> None:
    learner, played = Learner(model), make_episode(1)
    logp_N = now(learner, [played])
    ends = np.cumsum([len(turn.completion_ids) for turn in played.turns])
    own = [
        replace(turn, logprobs=part)
        for turn, part in zip(played.turns, np.split(logp_N, ends[:-1]), strict=True)
    ]
    episode = replace(played, turns=own)
    assert episode_drift(learner, [episode])[0] == pytest.approx(0.0, abs=1e-6)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    assert episode_drift(learner, [episode])[0] > 1e-3


def test_tasks_never_played_before_have_no_drift(model: PreTrainedModel, make_episode: EpisodeMaker) -> None:
    new = replace(make_episode(4), task=Task("new", "test/Env-v0", Split.TRAIN))
    turns = TurnTable.from_episodes([make_episode(1), new, make_episode(5)])
    before = make_episode(6)
    asked: list[str] = []

    def find(name: str) -> Episode:
        asked.append(name)
        return before

    found = with_drift(turns, {"t": "e6", "elsewhere": "e9"}, Learner(model), find)
    assert asked == ["e6"]
    assert found.drift_T is not None
    expected = episode_drift(Learner(model), [before])[0]
    np.testing.assert_allclose(found.drift_T, [expected, 0.0, expected], rtol=1e-5)


def now(learner: Learner, episodes: list[Episode]) -> Floats:
    return learner.score(learner.model, pack(episodes), len(TokenTable.from_episodes(episodes))).logp_N
