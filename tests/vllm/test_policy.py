"""vLLM in this process: its tokens, its log-probabilities, and the weights it takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.core.errors import ConfigError, InferenceFault, UsageError
from agentgym.core.message import Message
from agentgym.core.policy import FinishReason, GenerationRequest, Policy, Sampling
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.vllm import VllmEngine, VllmPolicy
from tests.policies.conversations import GREEDY, WARM, Conversation, assert_logprobs, assert_same, play_all
from tests.vllm.conftest import tiny_model

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def shared(tokenizer: PreTrainedTokenizerFast) -> VllmPolicy:
    return VllmPolicy(tiny_model(tokenizer), tokenizer, max_sessions=8)


@pytest.fixture
def policy(shared: VllmPolicy, model: PreTrainedModel) -> Generator[VllmPolicy]:
    """The module's policy, with the model's first weights and no sessions."""
    yield shared
    shared.model.load_state_dict(model.state_dict())
    for name in [f"session-{index}" for index in range(16)] + ["s", "t"]:
        shared.end_session(name)
    shared.set_version(0)


def engine_of(policy: VllmPolicy) -> VllmEngine:
    engine: Any = policy._engine  # pyright: ignore[reportPrivateUsage]
    assert isinstance(engine, VllmEngine)
    return engine


def shake(model: PreTrainedModel) -> None:
    """Change every weight a little, as a training step would."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05 * parameter.abs().mean())


def test_it_is_a_policy(policy: VllmPolicy) -> None:
    assert isinstance(policy, Policy)
    assert engine_of(policy).probe_gap < 1e-4


@pytest.mark.parametrize("sampling", [WARM, GREEDY, Sampling(0.7, 1.0, 12), Sampling(1.5, 1.0, 40)])
def test_log_probabilities_are_those_of_a_full_forward(policy: VllmPolicy, sampling: Sampling) -> None:
    for conversation in play_all(policy, range(12), 3, sampling):
        assert_logprobs(policy.model, conversation)
        assert all(completion.completion_ids.size for _, completion in conversation.turns)


def test_greedy_answers_are_the_local_engines(policy: VllmPolicy, tokenizer: PreTrainedTokenizerFast) -> None:
    local = LocalPolicy(policy.model, tokenizer)
    for ours, theirs in zip(
        play_all(policy, range(6), 3, GREEDY), play_all(local, range(6), 3, GREEDY), strict=True
    ):
        assert_same(ours, theirs)


def test_the_seed_decides_the_sample(policy: VllmPolicy) -> None:
    def answer(session: str, seed: int) -> list[int]:
        request = GenerationRequest(session, (Message("user", "Look."),), WARM, seed)
        return asyncio.run(policy.generate([request]))[0].completion_ids.tolist()

    assert answer("s", 1) == answer("t", 1) != answer("t", 2)


def test_later_turns_and_like_beginnings_come_from_the_prefix_cache(policy: VllmPolicy) -> None:
    long = "You arrive at cabinet 3. " * 20
    stats = engine_of(policy).stats
    before, asked = stats.prefilled_tokens, 0
    for session in ("s", "t"):
        messages = [Message("user", long)]
        for _ in range(3):
            request = GenerationRequest(session, tuple(messages), WARM)
            (completion,) = asyncio.run(policy.generate([request]))
            asked += completion.prompt_start + len(completion.prompt_ids)
            messages += [Message("assistant", completion.text), Message("user", "Nothing happens.")]
    assert stats.prefilled_tokens - before < asked / 2


def test_conversations_end_at_the_context(policy: VllmPolicy) -> None:
    messages = (Message("user", "You arrive at cabinet 3. " * 60),)
    (whole,) = asyncio.run(policy.generate([GenerationRequest("s", messages, Sampling(max_tokens=600))]))
    assert whole.finish_reason in (FinishReason.CONTEXT, FinishReason.STOP)
    assert len(whole.prompt_ids) + len(whole.completion_ids) <= policy.max_context
    too_long = (Message("user", "You arrive at cabinet 3. " * 600),)
    (none,) = asyncio.run(policy.generate([GenerationRequest("t", too_long, WARM)]))
    assert (none.finish_reason, len(none.completion_ids)) == (FinishReason.CONTEXT, 0)


def test_a_dictated_answer_goes_on_from_its_tokens(policy: VllmPolicy) -> None:
    messages = [Message("user", "Look.")]
    (said,) = asyncio.run(
        policy.generate([GenerationRequest("s", messages, WARM, dictated="go to cabinet 3")])
    )
    assert said.version == -1
    messages += [Message("assistant", said.text), Message("user", "Nothing happens.")]
    (answer,) = asyncio.run(policy.generate([GenerationRequest("s", messages, WARM)]))
    assert answer.prompt_start == len(said.prompt_ids) + len(said.completion_ids)


def test_a_request_given_up_leaves_the_others(policy: VllmPolicy) -> None:
    async def scene() -> tuple[bool, Conversation]:
        request = GenerationRequest("s", (Message("user", "Look."),), Sampling(1.0, 1.0, 400))
        doomed = asyncio.ensure_future(policy.generate([request]))
        await asyncio.sleep(0.01)
        policy.end_session("s")
        played = await Conversation(policy, 1, WARM).play(2)
        await asyncio.wait([doomed])
        return doomed.cancelled(), played

    cancelled, played = asyncio.run(scene())
    assert cancelled
    assert_logprobs(policy.model, played)
    assert not engine_of(policy).busy


def test_new_weights_arrive_and_sessions_go_on(policy: VllmPolicy) -> None:
    conversation = Conversation(policy, 1, WARM)
    for version in range(1, 4):
        asyncio.run(conversation.turn())
        shake(policy.model)
        policy.set_version(version)
        assert engine_of(policy).probe_gap < 1e-4
        context, completion = asyncio.run(conversation.turn()) and conversation.turns[-1]
        assert completion.version == version
        assert completion.prompt_start > 0
        latest = Conversation(policy, 1, WARM)
        latest.turns = [(context, completion)]
        assert_logprobs(policy.model, latest)


class Forgetful:
    """A vLLM of which one call does nothing."""

    def __init__(self, llm: Any, forgotten: str) -> None:
        self._llm = llm
        self._forgotten = forgotten

    def __getattr__(self, name: str) -> Any:
        return _nothing if name == self._forgotten else getattr(self._llm, name)


def _nothing(*_: object, **__: object) -> None:
    return None


@pytest.mark.parametrize("forgotten", ["collective_rpc", "reset_prefix_cache"])
def test_the_probe_stops_a_sampler_that_is_not_the_trainers_model(policy: VllmPolicy, forgotten: str) -> None:
    """Weights that did not arrive, or keys and values of older ones, which short prompts would not show."""
    engine: Any = engine_of(policy)
    whole = engine._llm
    try:
        engine._llm = Forgetful(whole, forgotten)
        shake(policy.model)
        with pytest.raises(InferenceFault, match=r"is [\d.]+ nats off the trainer's model .*limit 0\.001"):
            policy.set_version(1)
    finally:
        engine._llm = whole
    policy.set_version(1)


def test_weights_do_not_change_under_an_answer(policy: VllmPolicy) -> None:
    async def scene() -> None:
        request = GenerationRequest("s", (Message("user", "Look."),), Sampling(1.0, 1.0, 300))
        running = asyncio.ensure_future(policy.generate([request]))
        await asyncio.sleep(0)
        try:
            with pytest.raises(UsageError, match="change between rollouts"):
                policy.set_version(1)
        finally:
            policy.end_session("s")
            await asyncio.wait([running])

    asyncio.run(scene())


def test_top_p_leaves_no_log_probabilities_to_train_on(policy: VllmPolicy) -> None:
    request = GenerationRequest("s", (Message("user", "Look."),), Sampling(1.0, 0.9))
    with pytest.raises(UsageError, match="after top-p"):
        asyncio.run(policy.generate([request]))


def test_a_model_that_vllm_does_not_take(tokenizer: PreTrainedTokenizerFast) -> None:
    odd = ModelConfig(hidden_size=32, layers=1, heads=2, kv_heads=1, head_dim=6, mlp_size=64, max_context=64)
    with pytest.raises(ConfigError, match="vLLM does not take this model"):
        VllmPolicy(make_model(odd, tokenizer, device="cpu", dtype=torch.float32), tokenizer, max_sessions=2)
