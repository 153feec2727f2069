"""Second attempts after a critique, learned without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agentgym.agents.chat import ChatAgent
from agentgym.agents.conversation import History
from agentgym.core.policy import Sampling
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import LoadedModel
from agentgym.policies.rendering import ChatRenderer
from agentgym.rollout.monitor import Monitor
from agentgym.rollout.rules import Rules
from agentgym.training.advantages.group import GroupMean
from agentgym.training.conversations import conversations
from agentgym.training.critique import SecondAttempts, critique
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.packing import pack
from agentgym.training.scoring import score_tokens
from agentgym.training.second_attempts import SecondTries
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable
from tests.training.conftest import EpisodeMaker
from tests.training.teachers.conftest import Player, household


def tries(student: LoadedModel, history: History = "full") -> SecondTries:
    policy = LocalPolicy(student.model, student.tokenizer)
    agent = ChatAgent(policy, sampling=Sampling(temperature=1.0, max_tokens=6), history=history)
    return SecondTries(agent, ChatRenderer(student.tokenizer), household, 3, 4, Rules(), Monitor())


def test_a_critique_tells_outcome_actions_and_what_had_no_effect(student: LoadedModel, play: Player) -> None:
    episode = play(student)[0]
    text = critique(episode)
    assert "ended in failure after 3 turns" in text
    assert f"At the end: {episode.final_observation}" in text
    for position, turn in enumerate(episode.turns):
        assert str(turn.action) in text
        assert not turn.valid, "an untrained policy does nothing right"
        after = [*episode.turns[1:], None][position]
        said = episode.final_observation if after is None else after.observation
        assert f"{turn.action}: {said}" in text


@pytest.mark.parametrize("history", ["full", 1])
def test_second_attempts_are_recorded_as_if_there_had_been_no_critique(
    student: LoadedModel, play: Player, history: History
) -> None:
    firsts = play(student, history)
    renderer = ChatRenderer(student.tokenizer)
    for first, second in zip(firsts, tries(student, history).after(firsts), strict=True):
        assert second.group_id == first.group_id
        assert second.id == f"{first.id}/second"
        own, learned = first.turns[0], second.turns[0]
        np.testing.assert_array_equal(learned.prompt_ids, own.prompt_ids)
        assert learned.messages_delta[:-1] == own.messages_delta[:-1]
        before: list[int] = []
        for turn, asked in zip(second.turns, conversations(second, history), strict=True):
            context = [*before[: turn.prompt_start], *turn.prompt_ids.tolist()]
            assert renderer.decode(context) == renderer.render(asked.messages)
            before = [*context, *turn.completion_ids.tolist()]


def test_the_critique_was_in_sight_when_they_were_sampled(student: LoadedModel, play: Player) -> None:
    seconds = tries(student).after(play(student))
    tokens = TokenTable.from_episodes(seconds)
    logp_N = score_tokens(
        student.model, pack(seconds), len(tokens), temperature=1.0, tokens_per_microbatch=4096
    ).logp_N
    assert np.abs(logp_N - tokens.sampler_logp_N).max() > 1e-2


def scored(make_episode: EpisodeMaker, *scores: float) -> list[Episode]:
    return [replace(make_episode(n, turns=2), score=score) for n, score in enumerate(scores)]


def test_the_baseline_is_the_mean_of_the_first_attempts(make_episode: EpisodeMaker) -> None:
    turns = TurnTable.from_episodes(scored(make_episode, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    second_T = np.array([False] * 4 + [True] * 2)
    advantage_R = SecondAttempts().credit(GroupMean(), turns, second_T)
    np.testing.assert_allclose(advantage_R[::2], [0.75, -0.25, -0.25, -0.25, 0.75, -0.25])


def test_second_attempts_teach_where_all_first_ones_fail(make_episode: EpisodeMaker) -> None:
    turns = TurnTable.from_episodes(scored(make_episode, 0.0, 0.0, 1.0))
    advantage_R = SecondAttempts().credit(GroupMean(std=True), turns, np.array([False, False, True]))
    np.testing.assert_allclose(advantage_R[::2], [0.0, 0.0, 1.0])


def test_their_loss_is_the_plain_score_function() -> None:
    logp = torch.tensor([-3.0, -0.1], requires_grad=True)
    tokens = TokenBatch(logp, torch.tensor([-1.0, -2.0]), torch.tensor([0.5, -1.0]), torch.zeros(2).long())
    SecondAttempts().loss(tokens).loss_N.sum().backward()
    assert logp.grad is not None
    torch.testing.assert_close(logp.grad, torch.tensor([-0.5, 1.0]))
