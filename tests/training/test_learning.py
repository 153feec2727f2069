"""The point of it all: reinforcement raises success, in a real world, from real tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

import agentgym
from agentgym.agents.chat import ChatAgent
from agentgym.core.policy import Sampling
from agentgym.core.task import Task
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.rollout.collect import collect, plan_groups
from agentgym.training.advantages import Advantage, GroupMean, StepGroup
from agentgym.training.demonstrations import RecitingPolicy, demonstrate, tokenise
from agentgym.training.learner import Learner
from agentgym.training.recipe import OptimiserSection, WarmStartSection
from agentgym.training.turns import TurnTable
from agentgym.training.warm_start import warm_start

SUITE = 3
"""Tasks in the tiny suite."""


def household() -> agentgym.AgentEnv:
    return agentgym.make("household", difficulty="easy", expert="searcher")


def agent(policy: LocalPolicy | RecitingPolicy) -> ChatAgent:
    return ChatAgent(policy, system_prompt="", restate_task=True, sampling=Sampling(max_tokens=16))


def play(policy: LocalPolicy, tasks: Sequence[Task], members: int, label: str) -> list[Episode]:
    plans = plan_groups(tasks, members, label=label, seed=0)
    return asyncio.run(collect(plans, agent(policy), household, concurrency=64, max_turns=12))


def success(episodes: Sequence[Episode]) -> float:
    return float(np.mean([episode.success for episode in episodes]))


def half_taught(tasks: Sequence[Task]) -> LocalPolicy:
    """A policy from a warm start on demonstrations of these tasks, too short to solve them reliably."""
    env = household()
    played = [demonstrate(env, tasks[n % len(tasks)], noise=0.2, seed=n, max_turns=20) for n in range(60)]
    demonstrations = [demonstration for demonstration in played if demonstration is not None]
    texts = [text for one in demonstrations for text in (*one.observations, *one.actions)]
    tokenizer = train_tokenizer(texts, 600)
    sizes = ModelConfig(hidden_size=64, layers=2, heads=2, kv_heads=1, head_dim=32, mlp_size=128)
    model = make_model(sizes, tokenizer, device="cpu")
    episodes = asyncio.run(tokenise(demonstrations, tokenizer, agent, household))
    warm_start(model, episodes, WarmStartSection(epochs=10, lr=4e-3, tokens_per_step=512), seed=0)
    return LocalPolicy(model, tokenizer)


@pytest.mark.parametrize("advantage", [StepGroup(), GroupMean(std=True)], ids=lambda part: part.name)
def test_reinforcement_raises_success(advantage: Advantage) -> None:
    tasks = household().suite.tasks("train")[:SUITE]
    policy = half_taught(tasks)
    before = success(play(policy, tasks, 16, "before"))
    learner = Learner(policy.model, OptimiserSection(lr=1e-3))
    for iteration in range(12):
        episodes = play(policy, tasks, 8, f"train-{iteration}")
        turns = TurnTable.from_episodes(episodes)
        learner.learn(episodes, turns, advantage(turns))
        policy.set_version(learner.iteration)
    after = success(play(policy, tasks, 16, "after"))
    print("SUCCESS", before, after)
    assert 0.0 < before < 0.75, "the warm start leaves nothing to learn, or nothing to begin with"
    assert after > before + 0.15, (before, after)
