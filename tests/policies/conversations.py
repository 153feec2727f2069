"""Conversations with a local policy, and what their tokens must agree with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from agentgym.core.message import Message
from agentgym.core.policy import Completion, GenerationRequest, Sampling
from agentgym.policies.local import LocalPolicy
from tests.policies.conftest import SENTENCES, full_logprobs

GREEDY = Sampling(temperature=0.0, max_tokens=12)
WARM = Sampling(temperature=1.0, max_tokens=12)


def opening(index: int) -> list[Message]:
    told = " ".join(SENTENCES[(index + offset) % len(SENTENCES)] for offset in range(index % 4 + 1))
    return [Message("system", "Act."), Message("user", told)]


class Conversation:
    """Plays turns of a session and keeps the tokens as a trainer would: from the completions alone."""

    def __init__(self, policy: LocalPolicy, index: int, sampling: Sampling, name: str = "") -> None:
        self.policy = policy
        self.index = index
        self.sampling = sampling
        self.name = name or f"session-{index}"
        self.messages = opening(index)
        self.ids: list[int] = []
        self.turns: list[tuple[list[int], Completion]] = []

    async def turn(self) -> Completion:
        seed = 1000 * self.index + len(self.turns)
        request = GenerationRequest(self.name, tuple(self.messages), self.sampling, seed)
        (completion,) = await self.policy.generate([request])
        context = [*self.ids[: completion.prompt_start], *completion.prompt_ids.tolist()]
        self.turns.append((context, completion))
        self.ids = [*context, *completion.completion_ids.tolist()]
        told = SENTENCES[(self.index + len(self.turns)) % len(SENTENCES)]
        self.messages += [Message("assistant", completion.text), Message("user", told)]
        return completion

    async def play(self, turns: int) -> Conversation:
        for _ in range(turns):
            await self.turn()
            await asyncio.sleep(0)
        return self


def play_all(
    policy: LocalPolicy, indices: Sequence[int], turns: int, sampling: Sampling
) -> list[Conversation]:
    async def together() -> list[Conversation]:
        return await asyncio.gather(
            *(Conversation(policy, index, sampling).play(turns + index % 3) for index in indices)
        )

    return asyncio.run(together())


def assert_same(left: Conversation, right: Conversation) -> None:
    """The same tokens, up to one drawn so close to the edge of its share that rounding decides (one in 10,000)."""
    assert len(left.turns) == len(right.turns)
    for (context, first), (other_context, second) in zip(left.turns, right.turns, strict=True):
        assert context == other_context
        ids, others = first.completion_ids.tolist(), second.completion_ids.tolist()
        same = next(
            (n for n, (one, other) in enumerate(zip(ids, others, strict=False)) if one != other), None
        )
        np.testing.assert_allclose(first.logprobs[:same], second.logprobs[:same], atol=1e-4)
        if same is not None:
            assert left.sampling.temperature > 0
            assert abs(ids[same] - others[same]) == 1
            return
        assert (ids, first.text, first.finish_reason) == (others, second.text, second.finish_reason)


def assert_logprobs(model: PreTrainedModel, played: Conversation) -> None:
    for context, completion in played.turns:
        expected = full_logprobs(
            model, context, completion.completion_ids.tolist(), played.sampling.temperature or 1.0
        )
        np.testing.assert_allclose(completion.logprobs, expected, atol=1e-4)


def generated(model: PreTrainedModel, context: Sequence[int], stop: int, tokens: int) -> list[int]:
    """What transformers' own greedy `generate` continues `context` with."""
    own: Any = model
    ids = torch.tensor([list(context)])
    output = own.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        do_sample=False,
        eos_token_id=stop,
        pad_token_id=0,
    )
    return output[0, len(context) :].tolist()
