"""The local policy behind the gateway: what is recorded is what the model computes, branches included."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import numpy as np
from transformers import PreTrainedModel

from agentgym.core.policy import Sampling
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.serving.gateway import Gateway
from agentgym.training.learner import Learner
from agentgym.training.recipe import OptimiserSection
from agentgym.training.turns import TurnTable
from tests.policies.conftest import full_logprobs, sharpen
from tests.serving.desk import TOKENIZER, Http

TINY = ModelConfig(hidden_size=32, layers=2, heads=2, kv_heads=1, head_dim=16, mlp_size=64, max_context=512)


def model() -> PreTrainedModel:
    return sharpen(make_model(TINY, TOKENIZER, device="cpu"))


async def planner(http: Http, order: tuple[int, ...]) -> Episode:
    """A call, three calls that go on from it at once, and one that goes on from the first of these."""

    async def ask(*messages: dict[str, Any]) -> dict[str, Any]:
        body = {"model": "policy", "messages": list(messages)}
        answer = await http.post("/rollout/one/attempt/1/v1/chat/completions", body)
        return answer.json()["choices"][0]["message"]

    def user(text: str) -> dict[str, Any]:
        return {"role": "user", "content": text}

    plan = await ask(user("Press the red button."))
    beginning = (user("Press the red button."), plan)
    parts = await asyncio.gather(*(ask(*beginning, user(f"It is red. {n}")) for n in order))
    first = dict(zip(order, parts, strict=True))[0]
    await ask(*beginning, user("It is red. 0"), first, user("Press."))
    await http.reward("one", 1)
    return await http.gateway.episode("one")


def play(of: PreTrainedModel, order: tuple[int, ...] = (0, 1, 2)) -> Episode:
    async def run() -> Episode:
        policy = LocalPolicy(of, TOKENIZER)
        async with (
            Gateway(policy, sampling=Sampling(max_tokens=6)) as gateway,
            httpx2.AsyncClient() as client,
        ):
            return await planner(Http(gateway, client, []), order)

    return asyncio.run(run())


def test_logprobs_are_those_of_a_forward_over_each_turns_context() -> None:
    own = model()
    episode = play(own)
    assert len(episode.turns) == 5
    before = np.empty(0, np.int32)
    for turn in episode.turns:
        context = np.concatenate([before[: turn.prompt_start], turn.prompt_ids])
        expected = full_logprobs(own, context.tolist(), turn.completion_ids.tolist())
        np.testing.assert_allclose(turn.logprobs, expected, atol=1e-4)
        before = np.concatenate([context, turn.completion_ids])


def test_branches_hold_the_sampled_ids_of_what_they_go_on_from() -> None:
    episode = play(model())
    plan = np.concatenate([episode.turns[0].prompt_ids, episode.turns[0].completion_ids])
    before = plan
    for turn in episode.turns[1:]:
        context = np.concatenate([before[: turn.prompt_start], turn.prompt_ids])
        np.testing.assert_array_equal(context[: len(plan)], plan)
        before = np.concatenate([context, turn.completion_ids])


def test_the_trainer_computes_what_the_sampler_did() -> None:
    own = model()
    episode = play(own)
    turns = TurnTable.from_episodes([episode])
    learner = Learner(own, OptimiserSection())
    metrics = learner.learn([episode], turns, np.ones(len(episode.turns)))
    assert metrics["gap_mean"] < 1e-5


def test_the_order_in_which_parallel_calls_arrive_changes_nothing_that_is_sampled() -> None:
    def answers(episode: Episode) -> dict[str, list[int]]:
        return {turn.state_key: turn.completion_ids.tolist() for turn in episode.turns}

    assert answers(play(model(), (0, 1, 2))) == answers(play(model(), (2, 0, 1)))
