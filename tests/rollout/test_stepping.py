"""Where environments are stepped changes nothing about the episodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import pytest

from agentgym.agents.chat import ChatAgent
from agentgym.agents.scripted import OracleAgent, RandomAgent
from agentgym.core.agent import Agent
from agentgym.core.env import Stepping
from agentgym.core.errors import NotForkableError, TaskError
from agentgym.core.policy import Sampling
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.registry import factory, make
from agentgym.rollout.collect import collect, plan_groups
from agentgym.rollout.hosts import EnvHost, InlineHost, ThreadHost
from agentgym.rollout.processes import Nursery, ProcessHost
from agentgym.rollout.rules import Limits, Rules
from tests.rollout.worlds import Counting, task


def chat_agent(*, deterministic: bool = False) -> Agent:
    env = make("household")
    texts = [str(env.reset(seed=0, options={"task": task})[0]) for task in env.suite.tasks("train")[:10]]
    tokenizer = train_tokenizer(texts, 400)
    sizes = ModelConfig(
        hidden_size=32, layers=1, heads=2, kv_heads=1, head_dim=16, mlp_size=48, max_context=1024
    )
    model = make_model(sizes, tokenizer, seed=3, device="cpu")
    policy = LocalPolicy(model, tokenizer, deterministic=deterministic)
    return ChatAgent(policy, sampling=Sampling(max_tokens=6))


def recorded(value: Any, *but: str) -> Any:
    """Everything in an episode but how long it took, and the fields in `but`; arrays to the last byte."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if isinstance(value, Mapping):
        return {key: recorded(item, *but) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [recorded(item, *but) for item in cast("Sequence[Any]", value)]
    if is_dataclass(value):
        names = [field.name for field in fields(value) if field.name not in ("timing", *but)]
        return {name: recorded(getattr(value, name), *but) for name in names}
    return value


def played(agent: Agent, concurrency: int, stepping: Stepping) -> list[Episode]:
    made = factory("household", difficulty="easy")
    plans = plan_groups(list(made().suite.tasks("train")[:2]), 3, label="l", seed=0)
    rules = Rules(stepping=stepping)
    return asyncio.run(collect(plans, agent, made, concurrency=concurrency, max_turns=4, rules=rules))


@pytest.mark.parametrize(
    ("make_agent", "concurrency"),
    [(partial(chat_agent, deterministic=True), 5), (RandomAgent, 5), (partial(OracleAgent, noise=0.3), 5)],
)
def test_episodes_are_the_same_byte_for_byte(make_agent: Callable[[], Agent], concurrency: int) -> None:
    inline, threads, processes = (
        [recorded(episode) for episode in played(make_agent(), concurrency, stepping)]
        for stepping in Stepping
    )
    assert inline == threads == processes


def test_whatever_is_in_the_batch_the_tokens_are_the_same() -> None:
    """Log-probabilities may differ in their last bits: a sum of floats depends on the shape of its batch."""
    alone = played(chat_agent(), 1, Stepping.INLINE)
    for stepping in Stepping:
        together = played(chat_agent(), 5, stepping)
        for one, other in zip(alone, together, strict=True):
            assert recorded(one, "logprobs") == recorded(other, "logprobs")
            for left, right in zip(one.turns, other.turns, strict=True):
                assert np.allclose(left.logprobs, right.logprobs, atol=1e-5)


@pytest.mark.parametrize("stepping", Stepping)
def test_a_task_of_another_world_is_the_callers_mistake_everywhere(stepping: Stepping) -> None:
    plans = plan_groups([Task("x", "other/Env-v0", Split.TRAIN)] * 3, 1, label="l", seed=0)
    playing = collect(
        plans,
        OracleAgent(),
        factory("household"),
        concurrency=2,
        max_turns=5,
        rules=Rules(stepping=stepping),
    )
    with pytest.raises(TaskError, match="other/Env-v0"):
        asyncio.run(playing)


def host(stepping: Stepping, made: Any, nursery: Nursery) -> EnvHost:
    match stepping:
        case Stepping.INLINE:
            return InlineHost(made, Limits())
        case Stepping.THREAD:
            return ThreadHost(made, Limits())
        case Stepping.PROCESS:
            return ProcessHost(nursery, Limits())


@pytest.mark.parametrize("stepping", Stepping)
def test_all_that_an_environment_can_do_is_asked_through_its_host(stepping: Stepping) -> None:
    made = factory("household", difficulty="easy")
    chosen = made().suite.tasks("train")[0]
    nursery = Nursery(made, 60.0)

    async def go_and_return() -> None:
        hosted = host(stepping, made, nursery)
        begun = await hosted.reset(chosen, 0)
        key, saved = await hosted.state_key(), await hosted.snapshot()
        assert hosted.action_space.contains("look")
        assert hosted.tools == begun.tools == ()
        action = await hosted.oracle()
        assert action is not None
        first = await hosted.step(action)
        assert first.state_key == key != await hosted.state_key()
        await hosted.restore(saved)
        assert await hosted.state_key() == key
        again = await hosted.step(action)
        assert again == first
        await hosted.close()

    try:
        asyncio.run(go_and_return())
    finally:
        nursery.close()


@pytest.mark.parametrize("stepping", Stepping)
def test_errors_keep_their_kind(stepping: Stepping) -> None:
    nursery = Nursery(Counting, 60.0)

    async def fork() -> None:
        hosted = host(stepping, Counting, nursery)
        try:
            await hosted.reset(task("fine"), 0)
            with pytest.raises(NotForkableError, match="no snapshots"):
                await hosted.snapshot()
        finally:
            await hosted.close()

    try:
        asyncio.run(fork())
    finally:
        nursery.close()
