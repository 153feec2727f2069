"""Episodes of a small household policy, played by a model that was never trained."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from transformers import PreTrainedTokenizerFast

from agentgym.agents.chat import ChatAgent
from agentgym.agents.conversation import History
from agentgym.core.env import AgentEnv
from agentgym.core.policy import Sampling
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import LoadedModel, ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.registry import make
from agentgym.rollout.collect import collect, plan_groups
from agentgym.training.teachers.base import Surroundings

HOUSEHOLD = "agentgym/Household-v0"
SIZES = ModelConfig(hidden_size=32, layers=2, heads=2, kv_heads=1, head_dim=16, mlp_size=48)

Player = Callable[..., list[Episode]]


def household() -> AgentEnv:
    return make(HOUSEHOLD, Split.TRAIN, difficulty="easy")


@pytest.fixture(scope="session")
def world_text() -> list[str]:
    """What the world says at the beginning of some tasks, and an expert's actions."""
    env = household()
    texts: list[str] = []
    for task in list(env.suite.tasks(Split.TRAIN))[:20]:
        texts.append(str(env.reset(seed=0, options={"task": task})[0]))
        texts.extend(str(env.step(env.oracle())[0]) for _ in range(2))
    env.close()
    return texts


@pytest.fixture(scope="session")
def small_tokenizer(world_text: Sequence[str]) -> PreTrainedTokenizerFast:
    return train_tokenizer(world_text, 600)


@pytest.fixture
def student(small_tokenizer: PreTrainedTokenizerFast) -> LoadedModel:
    return LoadedModel(make_model(SIZES, small_tokenizer, seed=1, device="cpu"), small_tokenizer)


@pytest.fixture
def play() -> Player:
    def played(loaded: LoadedModel, history: History = "full", turns: int = 3) -> list[Episode]:
        agent = ChatAgent(
            LocalPolicy(loaded.model, loaded.tokenizer),
            sampling=Sampling(temperature=1.0, max_tokens=6),
            history=history,
        )
        env = household()
        tasks = list(env.suite.tasks(Split.TRAIN))[:2]
        env.close()
        plans = plan_groups(tasks, 2, label="t", seed=3)
        return asyncio.run(collect(plans, agent, household, concurrency=4, max_turns=turns))

    return played


def around(student: LoadedModel, *, history: History = "full", exact: bool = False) -> Surroundings:
    """Return surroundings in which there is no model but the student."""

    def nowhere(path: str) -> LoadedModel:
        raise AssertionError(f"nothing was to be opened, got {path!r}")

    return Surroundings(
        student=student,
        initial=lambda: student.model,
        open_model=nowhere,
        make_env=household,
        history=history,
        max_turns=40,
        temperature=1.0,
        tokens_per_microbatch=4096,
        exact=exact,
    )
