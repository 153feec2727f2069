"""The local policy against transformers' own `generate` and plain forwards."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.core.policy import Completion, FinishReason, GenerationRequest, Policy, Sampling
from agentgym.policies.local import LocalPolicy
from tests.policies.conftest import OTHER_MODELS, full_logprobs
from tests.policies.conversations import (
    GREEDY,
    WARM,
    Conversation,
    assert_logprobs,
    assert_same,
    generated,
    opening,
    play_all,
)

POSITION = 2 * 2 * 2 * 8 * 4
"""Bytes of one token: layers, keys and values, their heads, numbers of each, bytes of a number."""


@pytest.fixture
def policy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> LocalPolicy:
    return LocalPolicy(model, tokenizer)


def test_it_is_a_policy(policy: LocalPolicy) -> None:
    assert isinstance(policy, Policy)


def test_greedy_is_what_generate_gives_in_every_turn(
    any_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(any_model, tokenizer)
    played = play_all(policy, range(7), 3, GREEDY)
    token: Any = tokenizer
    stop: int = token.eos_token_id
    reasons: set[FinishReason] = set()
    for conversation in played:
        for context, completion in conversation.turns:
            expected = generated(any_model, context, stop, GREEDY.max_tokens)
            assert completion.completion_ids.tolist() == expected
            reasons.add(completion.finish_reason)
        assert_logprobs(any_model, conversation)
    assert FinishReason.LENGTH in reasons


def test_sampled_logprobs_are_those_of_a_full_forward(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    for sampling in (Sampling(0.7, 1.0, 10), Sampling(1.3, 0.8, 10)):
        for conversation in play_all(LocalPolicy(model, tokenizer), range(5), 2, sampling):
            assert_logprobs(model, conversation)


def test_growing_conversations_send_only_new_tokens(policy: LocalPolicy) -> None:
    (played,) = play_all(policy, [3], 4, WARM)
    for (context, first), (_, second) in zip(played.turns, played.turns[1:], strict=False):
        assert second.prompt_start == len(context) + len(first.completion_ids)
        assert len(second.prompt_ids) < 40
    longest = len(played.turns[-1][0])
    assert policy.stats.computed_tokens <= longest + len(played.turns[-1][1].completion_ids)


def test_stop_and_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    played = play_all(LocalPolicy(model, tokenizer), range(12), 3, Sampling(1.5, 1.0, 40))
    stopped = [c for p in played for _, c in p.turns if c.finish_reason is FinishReason.STOP]
    longest = [c for p in played for _, c in p.turns if c.finish_reason is FinishReason.LENGTH]
    assert stopped
    assert longest
    for completion in stopped:
        assert completion.completion_ids[-1] == tokenizer.eos_token_id
        assert not completion.text.endswith("<|end|>")
    for completion in longest:
        assert len(completion.completion_ids) == 40
        assert tokenizer.eos_token_id not in completion.completion_ids


def test_an_answer_cut_by_length_is_closed_in_the_next_prompt(
    policy: LocalPolicy, tokenizer: PreTrainedTokenizerFast
) -> None:
    (played,) = play_all(policy, [0], 2, Sampling(0.0, 1.0, 2))
    (_, first), (_, second) = played.turns[:2]
    assert first.finish_reason is FinishReason.LENGTH
    assert second.prompt_ids[0] == tokenizer.eos_token_id


@pytest.mark.parametrize(
    "limits",
    [
        {"max_batch_tokens": 7},
        {"max_cache_bytes": 512 * POSITION},
        {"max_cache_bytes": 1024 * POSITION},
        {"max_cache_bytes": 512 * POSITION, "max_batch_tokens": 25},
    ],
)
def test_company_order_and_eviction_change_nothing(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, limits: dict[str, Any]
) -> None:
    alone = {index: play_all(LocalPolicy(model, tokenizer), [index], 3, WARM)[0] for index in range(8)}
    policy = LocalPolicy(model, tokenizer, **limits)
    for conversation in play_all(policy, [5, 2, 7, 0, 3, 1, 6, 4], 3, WARM):
        assert_same(conversation, alone[conversation.index])
    assert (policy.stats.evictions > 0) == ("max_cache_bytes" in limits)


def test_arrivals_at_any_time_change_nothing(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer)

    async def late(index: int) -> Conversation:
        for _ in range(3 * index):
            await asyncio.sleep(0)
        return await Conversation(policy, index, WARM).play(3)

    async def trickle() -> list[Conversation]:
        return await asyncio.gather(*(late(index) for index in range(6)))

    for conversation in asyncio.run(trickle()):
        fresh = Conversation(LocalPolicy(model, tokenizer), conversation.index, WARM)
        asyncio.run(fresh.play(3))
        assert_same(conversation, fresh)


def test_a_kept_cache_equals_computing_everything_anew(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    kept = LocalPolicy(model, tokenizer)
    forgetful = LocalPolicy(model, tokenizer)

    async def play(policy: LocalPolicy, forget: bool) -> Conversation:
        conversation = Conversation(policy, 3, GREEDY)
        for turn in range(5):
            await conversation.turn()
            if forget:
                policy.set_version(turn)
        return conversation

    assert_same(asyncio.run(play(kept, False)), asyncio.run(play(forgetful, True)))
    assert forgetful.stats.prefilled_tokens > 2.5 * kept.stats.prefilled_tokens


def test_a_group_computes_its_first_prompt_once(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer)

    async def group() -> list[Conversation]:
        members = [Conversation(policy, 3, WARM, f"member-{member}") for member in range(6)]
        for index, member in enumerate(members):
            member.index += 100 * index  # another seed each
        return await asyncio.gather(*(member.play(1) for member in members))

    members = asyncio.run(group())
    prompt = len(members[0].turns[0][0])
    assert policy.stats.prefilled_tokens == prompt + 5
    assert len({tuple(member.turns[0][1].completion_ids) for member in members}) > 1
    for member in members:
        assert_logprobs(model, member)


def test_the_seed_decides_the_sample(policy: LocalPolicy) -> None:
    async def sample(name: str, seed: int) -> list[int]:
        (completion,) = await policy.generate([GenerationRequest(name, opening(1), WARM, seed)])
        return completion.completion_ids.tolist()

    samples = [asyncio.run(sample(f"s{seed}", seed)) for seed in range(6)]
    assert [asyncio.run(sample(f"again-{seed}", seed)) for seed in range(6)] == samples
    assert len({tuple(ids) for ids in samples}) >= 5


def test_a_window_shares_what_it_can(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    policy = LocalPolicy(model, tokenizer)
    conversation = Conversation(policy, 1, WARM)

    async def play() -> None:
        for _ in range(5):
            await conversation.turn()
            conversation.messages = [*conversation.messages[:2], *conversation.messages[-2:]]

    asyncio.run(play())
    for context, _ in conversation.turns[2:]:
        assert tokenizer.decode(context).count("<|user|>") == 2
    starts = [completion.prompt_start for _, completion in conversation.turns]
    opening_length = len(conversation.turns[0][0])
    assert all(opening_length - 1 <= start < opening_length + 20 for start in starts[2:])
    assert_logprobs(model, conversation)


def test_new_weights_drop_the_caches_and_keep_the_conversations(
    own_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(own_model, tokenizer)
    conversation = Conversation(policy, 2, WARM)
    first = asyncio.run(conversation.turn())
    with torch.no_grad():
        for parameter in own_model.parameters():
            parameter.mul_(0.9)
    policy.set_version(4)
    second = asyncio.run(conversation.turn())
    assert (first.version, second.version, policy.version) == (0, 4, 4)
    assert second.prompt_start == len(conversation.turns[0][0]) + len(first.completion_ids)
    context, _ = conversation.turns[1]
    expected = full_logprobs(own_model, context, second.completion_ids.tolist())
    np.testing.assert_allclose(second.logprobs, expected, atol=1e-4)


@torch.no_grad()
def test_new_weights_in_the_middle_of_an_answer(
    own_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(own_model, tokenizer)
    old = copy.deepcopy(own_model)
    conversations = [Conversation(policy, index, Sampling(1.0, 1.0, 30)) for index in range(3)]

    async def play() -> list[Completion]:
        tasks = [asyncio.create_task(conversation.turn()) for conversation in conversations]
        while policy.stats.sampled_tokens < 9:
            await asyncio.sleep(0)
        for parameter in own_model.parameters():
            parameter.mul_(0.8)
        policy.set_version(1)
        return await asyncio.gather(*tasks)

    completions = asyncio.run(play())
    assert any(completion.versions.size for completion in completions)
    for conversation, completion in zip(conversations, completions, strict=True):
        assert completion.version == 0
        if not completion.versions.size:
            continue
        assert set(completion.versions.tolist()) == {0, 1}
        context, _ = conversation.turns[0]
        ids = completion.completion_ids.tolist()
        by_old, by_new = (full_logprobs(model, context, ids) for model in (old, own_model))
        expected = np.where(completion.versions == 0, by_old, by_new)
        np.testing.assert_allclose(completion.logprobs, expected, atol=1e-4)
        assert not np.allclose(by_old, by_new, atol=1e-2)


def test_one_version_throughout_is_told_once(policy: LocalPolicy) -> None:
    completion = asyncio.run(Conversation(policy, 1, WARM).turn())
    assert (completion.version, completion.versions.tolist()) == (0, [])


@pytest.mark.parametrize("family", ["qwen3", "llama", "mistral"])
def test_half_precision_is_close_to_its_own_full_forward(
    family: str, own_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    model: Any = own_model if family == "qwen3" else OTHER_MODELS[family](len(tokenizer)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(
                    1 / 6 if family == "qwen3" else 2.0
                )  # distributions like those of a trained one
    model = model.to(torch.bfloat16)
    for conversation in play_all(LocalPolicy(model, tokenizer), range(4), 2, WARM):
        for context, completion in conversation.turns:
            expected = full_logprobs(model, context, completion.completion_ids.tolist())
            np.testing.assert_allclose(completion.logprobs, expected, atol=2e-2)


def test_several_requests_in_one_call_keep_their_order(policy: LocalPolicy) -> None:
    requests = [
        GenerationRequest(f"s{index}", opening(index), Sampling(0.0, 1.0, 3 + index)) for index in range(4)
    ]
    completions = asyncio.run(policy.generate(requests))
    lengths = [len(completion.completion_ids) for completion in completions]
    assert [len(c.prompt_ids) for c in completions] == [
        len(asyncio.run(LocalPolicy(policy.model, policy.tokenizer).generate([r]))[0].prompt_ids)
        for r in requests
    ]
    assert all(length <= 3 + index for index, length in enumerate(lengths))
    assert asyncio.run(policy.generate([])) == []
