"""Replayed prefixes: the policy goes on in the very context it would have had, and nothing of them is taught."""

from __future__ import annotations

import asyncio
from typing import Literal

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

import agentgym
from agentgym.agents.chat import ChatAgent
from agentgym.agents.scripted import OracleAgent, ScriptedAgent
from agentgym.core.env import AgentEnv
from agentgym.core.errors import UsageError
from agentgym.core.policy import Sampling
from agentgym.core.trace import Episode, Outcome, StopReason
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.rollout.collect import EpisodePlan, collect
from agentgym.training.demonstrations import as_answers, demonstrate
from agentgym.training.packing import pack
from agentgym.training.turns import TurnTable


def household() -> AgentEnv:
    return agentgym.make("household", difficulty="easy", expert="searcher")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    env = household()
    texts = [str(env.reset(seed=0, options={"task": task})[0]) for task in env.suite.tasks("train")[:20]]
    return train_tokenizer(texts, 400)


def policy_of(tokenizer: PreTrainedTokenizerFast, max_context: int = 2048) -> LocalPolicy:
    sizes = ModelConfig(
        hidden_size=32, layers=1, heads=2, kv_heads=1, head_dim=16, mlp_size=48, max_context=2048
    )
    model = make_model(sizes, tokenizer, seed=3, device="cpu")
    return LocalPolicy(model, tokenizer, max_context=max_context)


def play(agent: ChatAgent, *plans: EpisodePlan, max_turns: int = 6) -> list[Episode]:
    return asyncio.run(collect(plans, agent, household, concurrency=4, max_turns=max_turns))


@pytest.mark.parametrize("history", ["full", 2])
def test_an_episode_goes_on_from_its_own_prefix_as_if_nothing_had_happened(
    tokenizer: PreTrainedTokenizerFast, history: Literal["full"] | int
) -> None:
    task = household().suite.tasks("train")[3]
    agent = ChatAgent(policy_of(tokenizer), sampling=Sampling(max_tokens=6), history=history)
    (whole,) = play(agent, EpisodePlan(task, "whole", "g", 11))
    prefix = tuple(tuple(turn.completion_ids.tolist()) for turn in whole.turns[:3])
    (again,) = play(agent, EpisodePlan(task, "again", "g", 11, prefix))
    assert len(whole.turns) == len(again.turns) == 6
    for number, (first, second) in enumerate(zip(whole.turns, again.turns, strict=True)):
        assert (first.prompt_start, first.action, first.valid) == (
            second.prompt_start,
            second.action,
            second.valid,
        )
        assert np.array_equal(first.prompt_ids, second.prompt_ids)
        assert np.array_equal(first.completion_ids, second.completion_ids)
        assert second.policy_version == (-1 if number < 3 else 0)
        assert second.loss_mask.tolist() == [int(number >= 3)] * len(second.completion_ids)
        if number >= 3:
            assert np.allclose(first.logprobs, second.logprobs, atol=1e-5)
    assert again.versions.policy == 0
    assert again.sampled_tokens == sum(len(turn.completion_ids) for turn in whole.turns[3:])


def test_a_branch_shares_the_worlds_seed_and_takes_another_way(tokenizer: PreTrainedTokenizerFast) -> None:
    task = household().suite.tasks("train")[3]
    agent = ChatAgent(policy_of(tokenizer), sampling=Sampling(max_tokens=6))
    (trunk,) = play(agent, EpisodePlan(task, "trunk", "g", 11))
    prefix = tuple(tuple(turn.completion_ids.tolist()) for turn in trunk.turns[:2])
    (branch,) = play(agent, EpisodePlan(task, "branch", "g", 11, prefix, agent_seed=12))
    assert branch.seed == trunk.seed == 11
    same = [
        np.array_equal(a.completion_ids, b.completion_ids)
        for a, b in zip(trunk.turns, branch.turns, strict=True)
    ]
    assert same[:2] == [True, True]
    assert not all(same)


def test_an_experts_turns_are_in_the_context_and_in_no_loss(tokenizer: PreTrainedTokenizerFast) -> None:
    env = household()
    task = env.suite.tasks("train")[0]
    shown = demonstrate(env, task, noise=0.0, seed=0, max_turns=40)
    assert shown is not None
    agent = ChatAgent(policy_of(tokenizer), sampling=Sampling(max_tokens=6))
    answers = as_answers(shown.actions, agent)
    (episode,) = play(agent, EpisodePlan(task, "e", "g", 0, answers[:-1]), max_turns=len(answers) + 2)
    assert [turn.action for turn in episode.turns[: len(answers) - 1]] == list(shown.actions[:-1])
    assert [turn.observation for turn in episode.turns[: len(answers)]] == list(shown.observations[:-1])
    table = TurnTable.from_episodes([episode])
    assert (table.tokens_R == 0).tolist() == [n < len(answers) - 1 for n in range(len(episode.turns))]
    (row,) = pack([episode])
    assert set(row.turn.tolist()) == set(range(len(answers) - 1, len(episode.turns)))
    assert not episode.ended_in_prefix


def test_an_episode_that_ends_in_its_prefix_teaches_nothing(tokenizer: PreTrainedTokenizerFast) -> None:
    env = household()
    task = env.suite.tasks("train")[0]
    shown = demonstrate(env, task, noise=0.0, seed=0, max_turns=40)
    assert shown is not None
    agent = ChatAgent(policy_of(tokenizer))
    (episode,) = play(agent, EpisodePlan(task, "e", "g", 0, as_answers(shown.actions, agent)), max_turns=40)
    assert (episode.outcome, episode.score) == (Outcome.SUCCESS, 1.0)
    assert (episode.ended_in_prefix, episode.sampled_tokens, episode.versions.policy) == (True, 0, -1)
    assert sum(turn.reward for turn in episode.turns) == 1.0


def test_a_prefix_too_long_for_the_context_truncates(tokenizer: PreTrainedTokenizerFast) -> None:
    task = household().suite.tasks("train")[0]
    agent = ChatAgent(policy_of(tokenizer, max_context=400))
    (episode,) = play(agent, EpisodePlan(task, "e", "g", 0, ("look",) * 40), max_turns=60)
    assert (episode.outcome, episode.stop_reason) == (Outcome.TRUNCATED, StopReason.CONTEXT_OVERFLOW)
    assert episode.ended_in_prefix


@pytest.mark.parametrize("agent", [OracleAgent(), ScriptedAgent(["look"])])
def test_agents_that_cannot_recite_are_told_so(agent: OracleAgent | ScriptedAgent) -> None:
    plan = EpisodePlan(household().suite.tasks("train")[0], "e", "g", 0, ("look",))
    with pytest.raises(UsageError, match="recite"):
        asyncio.run(collect([plan], agent, household, concurrency=1, max_turns=5))
