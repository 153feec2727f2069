"""Deterministic mode: the same to the last bit in whatever company."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.core.policy import Completion, Sampling
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import make_model
from agentgym.policies.tokenizer import train_tokenizer
from tests.policies.conftest import SENTENCES, TINY, sharpen
from tests.policies.conversations import Conversation, assert_logprobs

SAMPLING = Sampling(1.0, 0.95, 7)
POSITION = 2 * 2 * 2 * 8 * 4


@cache
def model_and_tokenizer() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    tokenizer = train_tokenizer(SENTENCES * 5, 400)
    return sharpen(make_model(TINY, tokenizer, seed=1, device="cpu")).eval(), tokenizer


def bits(played: Conversation) -> list[tuple[list[int], bytes]]:
    return [(c.completion_ids.tolist(), np.asarray(c.logprobs).tobytes()) for _, c in played.turns]


@cache
def alone(index: int) -> list[tuple[list[int], bytes]]:
    policy = LocalPolicy(*model_and_tokenizer(), deterministic=True)
    return bits(asyncio.run(Conversation(policy, index, SAMPLING).play(2)))


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=7, unique=True),
    st.integers(0, 5),
    st.sampled_from([512, 640, 100_000]),
    st.sampled_from([9, 40, 1024]),
)
def test_company_arrival_and_eviction_do_not_change_a_bit(
    indices: list[int], apart: int, positions: int, batch_tokens: int
) -> None:
    policy = LocalPolicy(
        *model_and_tokenizer(),
        deterministic=True,
        max_cache_bytes=positions * POSITION,
        max_batch_tokens=batch_tokens,
    )

    async def late(place: int, index: int) -> Conversation:
        for _ in range(apart * place):
            await asyncio.sleep(0)
        return await Conversation(policy, index, SAMPLING).play(2)

    async def together() -> list[Conversation]:
        return await asyncio.gather(*(late(place, index) for place, index in enumerate(indices)))

    for conversation in asyncio.run(together()):
        assert bits(conversation) == alone(conversation.index)


@pytest.mark.parametrize("company", [0, 5])
def test_any_supported_model_can_be_deterministic(
    any_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, company: int
) -> None:
    async def play(policy: LocalPolicy, others: int) -> Conversation:
        tasks = [Conversation(policy, index, SAMPLING).play(2) for index in range(1, 1 + others)]
        played = await asyncio.gather(Conversation(policy, 0, SAMPLING).play(2), *tasks)
        return played[0]

    expected = asyncio.run(play(LocalPolicy(any_model, tokenizer, deterministic=True), 0))
    played = asyncio.run(play(LocalPolicy(any_model, tokenizer, deterministic=True), company))
    assert bits(played) == bits(expected)
    assert_logprobs(any_model, played)


def test_the_last_place_of_the_context_can_be_filled(tokenizer: PreTrainedTokenizerFast) -> None:
    """The last block is filled up beyond the longest conversation."""
    model, _ = model_and_tokenizer()
    policy = LocalPolicy(model, tokenizer, deterministic=True, max_context=93)
    completions: list[Any] = [
        asyncio.run(Conversation(policy, index, Sampling(1.0, 1.0, 400), f"s{index}").turn())
        for index in range(9)
    ]
    assert any(
        len(c.prompt_ids) + len(c.completion_ids) == 93 for c in completions if isinstance(c, Completion)
    )
