"""Demonstrations hold the tokens the policy would see, teach only the expert's answers, and can be learned."""

from __future__ import annotations

import asyncio

import pytest

import agentgym
from agentgym.agents.chat import ChatAgent, parse_action
from agentgym.core.errors import ConfigError
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.training.demonstrations import Demonstration, RecitingPolicy, demonstrate, tokenise
from agentgym.training.recipe import WarmStartSection
from agentgym.training.warm_start import warm_start


def household() -> agentgym.AgentEnv:
    return agentgym.make("household", difficulty="easy", expert="searcher")


def some(count: int, noise: float) -> list[Demonstration]:
    env = household()
    tasks = env.suite.tasks("train")
    played = [demonstrate(env, tasks[n], noise=noise, seed=n, max_turns=40) for n in range(count)]
    return [demonstration for demonstration in played if demonstration is not None]


def test_without_noise_everything_is_the_experts() -> None:
    demonstrations = some(10, 0.0)
    assert len(demonstrations) == 10
    assert all(all(demonstration.expert) for demonstration in demonstrations)
    assert demonstrations == some(10, 0.0)


@pytest.mark.parametrize("action_format", ["plain", "tagged"])
def test_tokens_say_what_was_done_and_strays_are_not_trained(action_format: str) -> None:
    demonstrations = some(12, 0.3)
    texts = [text for played in demonstrations for text in played.texts]
    tokenizer = train_tokenizer(texts, 512)

    def agent(policy: RecitingPolicy) -> ChatAgent:
        return ChatAgent(policy, action_format="plain" if action_format == "plain" else "tagged")

    episodes = asyncio.run(tokenise(demonstrations, tokenizer, agent, household))
    strays = 0
    for episode, played in zip(episodes, demonstrations, strict=True):
        assert episode.success
        for turn, action, expert in zip(episode.turns, played.actions, played.expert, strict=True):
            answer = str(tokenizer.decode(turn.completion_ids[:-1]))
            assert parse_action(answer, "plain" if action_format == "plain" else "tagged") == (action, True)
            assert turn.completion_ids[-1] == tokenizer.eos_token_id
            assert turn.loss_mask.tolist() == [int(expert)] * len(turn.completion_ids)
            strays += not expert
    assert strays > 10


def test_straying_needs_to_know_the_actions() -> None:
    env = agentgym.make("household", difficulty="easy", admissible=False)
    with pytest.raises(ConfigError, match=r"warm_start\.noise = 0"):
        demonstrate(env, env.suite.tasks("train")[0], noise=0.9, seed=0, max_turns=20)


@pytest.mark.parametrize("train_on", ["all", "completions"])
def test_a_warm_start_lowers_the_loss(train_on: str) -> None:
    demonstrations = some(40, 0.1)
    tokenizer = train_tokenizer([text for played in demonstrations for text in played.observations], 400)
    episodes = asyncio.run(tokenise(demonstrations, tokenizer, lambda policy: ChatAgent(policy), household))
    model = make_model(
        ModelConfig(hidden_size=32, layers=1, heads=2, kv_heads=1, mlp_size=64), tokenizer, device="cpu"
    )
    losses: list[float] = []
    settings = WarmStartSection.model_validate({"epochs": 3, "tokens_per_step": 1024, "train_on": train_on})
    last = warm_start(
        model, episodes, settings, seed=0, on_step=lambda step, steps, loss: losses.append(loss)
    )
    assert len(losses) > 10
    assert last < 0.7 * losses[0]


def test_an_expert_that_errs_is_shown_only_where_that_is_asked_for() -> None:
    env = agentgym.make("backoffice", difficulty="easy", domains=["retail"], expert="hasty")
    tasks = env.suite.tasks("train")[:20]

    def shown(only_solved: bool) -> list[Demonstration | None]:
        return [
            demonstrate(env, task, noise=0.0, seed=0, max_turns=8, only_solved=only_solved) for task in tasks
        ]

    every, solved = shown(False), shown(True)
    assert None not in every
    assert 0 < sum(played is not None for played in solved) < 20
    assert all(one in (None, other) for one, other in zip(solved, every, strict=True))
