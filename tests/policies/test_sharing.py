"""What conversations take over from each other, and that the memory they share stays within its bound."""

from __future__ import annotations

import asyncio

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.core.errors import ConfigError
from agentgym.core.message import Message
from agentgym.core.policy import Completion, GenerationRequest, Sampling
from agentgym.policies.local import LocalPolicy
from tests.policies.conversations import WARM, Conversation, assert_logprobs, assert_same, opening

POSITION = 2 * 2 * 2 * 8 * 4
"""Bytes of one token: layers, keys and values, their heads, numbers of each, bytes of a number."""


def ask(
    policy: LocalPolicy,
    name: str,
    messages: list[Message],
    seed: int = 0,
    dictated: tuple[int, ...] | None = None,
) -> Completion:
    request = GenerationRequest(name, tuple(messages), WARM, seed, dictated=dictated)
    return asyncio.run(policy.generate([request]))[0]


def test_a_restarted_episode_costs_one_token(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer)

    async def play_twice() -> tuple[Completion, Completion, int]:
        (first,) = await policy.generate([GenerationRequest("first", tuple(opening(3)), WARM)])
        policy.end_session("first")
        before = policy.stats.prefilled_tokens
        (again,) = await policy.generate([GenerationRequest("second", tuple(opening(3)), WARM)])
        return first, again, policy.stats.prefilled_tokens - before

    first, again, computed = asyncio.run(play_twice())
    assert computed == 1
    assert policy.stats.shared_tokens == len(again.prompt_ids) - 1
    assert again.completion_ids.tolist() == first.completion_ids.tolist()


def test_forks_take_over_what_their_trunk_has(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    """A fork recites the trunk's tokens as answers given beforehand, in a session of its own."""
    policy = LocalPolicy(model, tokenizer)
    trunk = Conversation(policy, 3, WARM, "trunk")
    asyncio.run(trunk.play(3))
    computed = policy.stats.computed_tokens
    messages = opening(3)
    for turn in range(2):
        recited = trunk.turns[turn][1]
        ask(policy, "fork", messages, dictated=tuple(recited.completion_ids.tolist()))
        messages = trunk.messages[: len(messages) + 2]
    completion = ask(policy, "fork", messages, seed=99)
    whole = len(trunk.turns[2][0])
    assert policy.stats.computed_tokens - computed == 1 + len(completion.completion_ids) - 1
    fork = Conversation(policy, 3, WARM, "fork")
    fork.turns = [(trunk.turns[2][0], completion)]
    assert completion.prompt_start + len(completion.prompt_ids) == whole
    assert_logprobs(model, fork)


def test_a_group_that_arrives_together_waits_for_its_first(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer, max_batch_tokens=16)  # the prompt takes several steps
    alone = asyncio.run(Conversation(LocalPolicy(model, tokenizer), 3, WARM).play(2))

    async def group() -> list[Conversation]:
        return await asyncio.gather(*(Conversation(policy, 3, WARM, f"m{n}").play(2) for n in range(4)))

    for member in asyncio.run(group()):
        assert_same(member, alone)
    prompts = sum(len(context) for context, _ in alone.turns)
    assert policy.stats.prefilled_tokens < prompts


def test_a_window_is_found_where_another_has_the_same(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer)
    ask(policy, "long", [*opening(3), Message("assistant", "go"), Message("user", "Nothing happens.")])
    ask(policy, "other", opening(1))
    before = policy.stats.prefilled_tokens
    ask(policy, "other", [*opening(3), Message("assistant", "go"), Message("user", "You see a mug 1.")])
    assert policy.stats.prefilled_tokens - before < 20


def test_waiting_conversations_take_what_is_told(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer)
    assert [policy.cache_bytes(tokens) // POSITION for tokens in (1, 64, 65, 300)] == [64, 64, 128, 512]
    assert policy.cache_bytes(64) % POSITION == 0


def test_one_long_conversation_costs_the_others_nothing(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    short = [opening(index % 3) for index in range(20)]
    room = 20 * 128 + 512 + 512  # each short one's extent, the long one's, and where it came from
    policy = LocalPolicy(model, tokenizer, max_cache_bytes=room * POSITION)

    async def play() -> list[Completion]:
        long = Conversation(policy, 3, Sampling(1.0, 1.0, 250), "long")
        requests = [
            GenerationRequest(f"short-{index}", tuple(messages), WARM) for index, messages in enumerate(short)
        ]
        first = asyncio.create_task(long.play(2))
        completions = await policy.generate(requests)
        await first
        return completions

    assert len(asyncio.run(play())) == 20
    assert policy.stats.evictions == 0


def test_the_bound_is_held_and_all_are_served(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Far more is asked at once than there is memory for: some are put off, none is lost or changed."""
    policy = LocalPolicy(model, tokenizer, max_cache_bytes=600 * POSITION)
    long = Sampling(1.3, 1.0, 60)

    async def play(policy: LocalPolicy, indices: list[int]) -> list[Conversation]:
        return await asyncio.gather(*(Conversation(policy, index, long).play(3) for index in indices))

    together = asyncio.run(play(policy, list(range(10))))
    assert policy.cache_held_bytes <= 600 * POSITION
    assert policy.stats.evictions > 0
    for conversation in together[::3]:
        assert_logprobs(model, conversation)
        (alone,) = asyncio.run(play(LocalPolicy(model, tokenizer), [conversation.index]))
        assert_same(conversation, alone)


def test_ended_conversations_make_room_before_the_cache_grows(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer)
    held: list[int] = []
    for index in range(40):
        ask(policy, f"s{index}", [Message("user", f"{index} times."), *opening(index % 4)])
        policy.end_session(f"s{index}")
        held.append(policy.cache_held_bytes)
    assert held[-1] == held[3]
    assert policy.stats.evictions == 0


def test_a_cache_too_small_for_one_conversation_is_refused(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(ConfigError, match=f"at least {512 * POSITION} for a conversation of 512 tokens"):
        LocalPolicy(model, tokenizer, max_context=300, max_cache_bytes=400 * POSITION)
    # Not asked for, the context is what fits.
    assert LocalPolicy(model, tokenizer, max_cache_bytes=400 * POSITION).max_context == 256


@torch.no_grad()
def test_shared_prefixes_are_dropped_with_their_weights(
    own_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(own_model, tokenizer)
    ask(policy, "before", opening(3))
    policy.end_session("before")
    for parameter in own_model.parameters():
        parameter.mul_(0.9)
    policy.set_version(1)
    played = asyncio.run(Conversation(policy, 3, WARM, "after").play(1))
    assert policy.stats.shared_tokens == 0
    assert_logprobs(own_model, played)
