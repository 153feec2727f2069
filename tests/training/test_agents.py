"""Whatever the agent, every token that a policy sampled for it is on record as it was sampled, and is trained."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.agents.kinds import new_agent
from agentgym.core.policy import Completion, GenerationRequest, Sampling
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.rollout.collect import EpisodePlan, collect, plan_groups
from agentgym.rollout.forks import branch
from agentgym.training.learner import Learner
from agentgym.training.packing import pack
from agentgym.training.recipe import OptimiserSection
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable
from tests.agents.boxes import TextBoxes, ToolBoxes
from tests.policies.conftest import full_logprobs, sharpen

PLAYS: list[tuple[str, type[ToolBoxes]]] = [
    ("chat", TextBoxes),
    ("react", TextBoxes),
    ("react", ToolBoxes),
    ("toolcalling", ToolBoxes),
    ("planner", TextBoxes),
    ("planner", ToolBoxes),
]


class Witness:
    """A local policy that keeps what it gave out."""

    def __init__(self, policy: LocalPolicy) -> None:
        self.policy = policy
        self.given: dict[str, list[Completion]] = {}

    @property
    def version(self) -> int:
        return self.policy.version

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        completions = await self.policy.generate(requests)
        for request, completion in zip(requests, completions, strict=True):
            self.given.setdefault(request.session_id, []).append(completion)
        return completions

    def end_session(self, session_id: str) -> None:
        self.policy.end_session(session_id)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    texts = ["peek 1", "open 2", '<tool_call>{"name": "peek", "arguments": {"box": 1}}</tool_call>']
    return train_tokenizer(texts * 4, 320)


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    sizes = ModelConfig(
        hidden_size=32, layers=2, heads=2, kv_heads=1, head_dim=16, mlp_size=48, max_context=4096
    )
    return sharpen(make_model(sizes, tokenizer, seed=1, device="cpu", dtype=torch.float32)).eval()


def play(kind: str, env: type[ToolBoxes], policy: Witness) -> list[Episode]:
    agent = new_agent(kind, policy, sampling=Sampling(max_tokens=5))
    plans = plan_groups(env.suite.tasks("train")[:1], 3, label=kind, seed=3)
    return asyncio.run(collect(plans, agent, env, concurrency=6, max_turns=3))


@pytest.mark.parametrize(("kind", "env"), PLAYS)
def test_every_completion_is_on_record_as_it_was_sampled(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, kind: str, env: type[ToolBoxes]
) -> None:
    policy = Witness(LocalPolicy(model, tokenizer))
    for episode in play(kind, env, policy):
        ids: list[int] = []
        parts = [part for turn in episode.turns for part in turn.completions]
        for part, given in zip(parts, policy.given[episode.id], strict=True):
            context = [*ids[: part.prompt_start], *part.prompt_ids.tolist()]
            ids = [*context, *part.completion_ids.tolist()]
            assert part.completion_ids.tolist() == given.completion_ids.tolist() != []
            assert part.loss_mask.tolist() == [1] * len(given.completion_ids)
            assert part.policy_version == 0
            expected = full_logprobs(model, context, part.completion_ids.tolist())
            np.testing.assert_allclose(part.logprobs, expected, atol=1e-4)
        assert episode.sampled_tokens == sum(len(given.completion_ids) for given in policy.given[episode.id])


def test_an_episode_of_tool_calls_is_forked_with_its_calls_and_their_ids(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    agent = new_agent("toolcalling", LocalPolicy(model, tokenizer), sampling=Sampling(max_tokens=5))
    told = tuple(agent.write(ToolBoxes().action("peek", box)) for box in (1, 3))
    plan = EpisodePlan(ToolBoxes.suite.tasks("train")[1], "trunk", "g", 0, told)
    (trunk,) = asyncio.run(collect([plan], agent, ToolBoxes, concurrency=1, max_turns=3))
    forks = asyncio.run(collect(branch(trunk, 2, 2), agent, ToolBoxes, concurrency=2, max_turns=3))
    for fork in forks:
        assert len(fork.turns) == 3
        for turn, before in zip(fork.turns[:2], trunk.turns, strict=False):
            assert turn.action == before.action
            assert turn.messages_delta == before.messages_delta
            np.testing.assert_array_equal(turn.completion_ids, before.completion_ids)
    assert len({fork.turns[2].completion_ids.tobytes() for fork in forks}) == 2


@pytest.mark.parametrize(("kind", "env"), PLAYS)
def test_a_step_of_the_learner_moves_every_completion_of_a_decision_with_its_advantage(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, kind: str, env: type[ToolBoxes]
) -> None:
    episodes = play(kind, env, Witness(LocalPolicy(model, tokenizer)))
    turns, tokens, rows = (
        TurnTable.from_episodes(episodes),
        TokenTable.from_episodes(episodes),
        pack(episodes),
    )
    praised = len(turns.turn_R) // 2
    advantage_R = np.zeros(len(turns.turn_R))
    advantage_R[praised] = 1.0
    learner = Learner(model, OptimiserSection(lr=1e-4))
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    metrics = learner.learn(episodes, turns, advantage_R)
    assert metrics["grad_norm"] > 0
    assert any(not torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    change_N = learner.score(model, rows, len(tokens)).logp_N - tokens.sampler_logp_N
    decision = [turn for episode in episodes for turn in episode.turns][praised]
    ends = np.cumsum([len(part.completion_ids) for part in decision.completions])[:-1]
    for change in np.split(change_N[tokens.turn_N == praised], ends):
        assert change.sum() > 0
