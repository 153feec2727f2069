"""The local policy against transformers' own `generate` and plain forwards."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.core.errors import ConfigError, InferenceFault, UsageError
from agentgym.core.message import Message
from agentgym.core.policy import Completion, FinishReason, GenerationRequest, Policy, Sampling
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
    assert len(left.turns) == len(right.turns)
    for (context, first), (other_context, second) in zip(left.turns, right.turns, strict=True):
        assert context == other_context
        assert first.completion_ids.tolist() == second.completion_ids.tolist()
        assert (first.text, first.finish_reason) == (second.text, second.finish_reason)
        np.testing.assert_allclose(first.logprobs, second.logprobs, atol=1e-4)


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
        {"max_sessions": 1},
        {"max_sessions": 3},
        {"max_sessions": 3, "max_batch_tokens": 25},
    ],
)
def test_company_order_and_eviction_change_nothing(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, limits: dict[str, int]
) -> None:
    alone = {index: play_all(LocalPolicy(model, tokenizer), [index], 3, WARM)[0] for index in range(8)}
    policy = LocalPolicy(model, tokenizer, **limits)
    for conversation in play_all(policy, [5, 2, 7, 0, 3, 1, 6, 4], 3, WARM):
        assert_same(conversation, alone[conversation.index])
    assert (policy.stats.evictions > 0) == ("max_sessions" in limits)


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


def test_new_weights_in_the_middle_of_an_answer(
    own_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(own_model, tokenizer)

    async def play() -> list[Completion]:
        tasks = [
            asyncio.create_task(Conversation(policy, 1, Sampling(1.0, 1.0, 30), f"m{member}").turn())
            for member in range(3)
        ]
        while policy.stats.sampled_tokens < 9:
            await asyncio.sleep(0)
        policy.set_version(1)
        return await asyncio.gather(*tasks)

    before = Conversation(LocalPolicy(own_model, tokenizer), 1, Sampling(1.0, 1.0, 30))
    expected = asyncio.run(before.turn())
    for completion in asyncio.run(play()):  # the weights are the same, so the samples must be
        assert completion.completion_ids.tolist() == expected.completion_ids.tolist()
        assert completion.version == 0


def test_too_long_a_conversation_is_told_without_an_exception(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer, max_context=100)
    conversation = Conversation(policy, 0, Sampling(1.0, 1.0, 30))

    async def play() -> list[Completion]:
        return [await conversation.turn() for _ in range(10)]

    completions = asyncio.run(play())
    assert completions[-1].finish_reason is FinishReason.CONTEXT
    assert completions[-1].completion_ids.tolist() == []
    sampled = [len(ids) + len(c.completion_ids) for ids, c in conversation.turns if len(c.completion_ids)]
    assert max(sampled) <= 100
    cut = [c for _, c in conversation.turns if c.finish_reason is FinishReason.CONTEXT]
    assert len(cut[0].completion_ids) > 0  # what fitted was sampled
    # The conversation can go on in a window.
    conversation.messages = conversation.messages[:2]
    again = asyncio.run(conversation.turn())
    assert len(again.completion_ids) > 0
    assert_logprobs(model, conversation)


def test_context_is_filled_to_the_last_token(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    sampling = Sampling(0.0, 1.0, 400)
    for index in range(6):
        policy = LocalPolicy(model, tokenizer, max_context=64)
        completion = asyncio.run(Conversation(policy, index, sampling).turn())
        if completion.finish_reason is FinishReason.CONTEXT:
            assert len(completion.prompt_ids) + len(completion.completion_ids) == 64 or index == 3


def test_nonfinite_weights_are_a_fault_that_names_the_session(
    own_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(own_model, tokenizer)
    good = {name: value.clone() for name, value in own_model.state_dict().items()}
    with torch.no_grad():
        for parameter in own_model.parameters():
            parameter.fill_(float("nan"))
    policy.set_version(1)
    with pytest.raises(InferenceFault, match=r"'session-1'.*not finite"):
        asyncio.run(Conversation(policy, 3, WARM, "session-1").turn())
    policy.end_session("session-1")
    own_model.load_state_dict(good)
    policy.set_version(2)
    # A shorter conversation in the same slot beside a longer one: nothing of the NaN is left behind its end.
    for conversation in play_all(policy, [0, 3], 1, WARM):
        assert_logprobs(own_model, conversation)


class Breakable(torch.nn.Module):
    """A layer's norm that raises when told to."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.broken = False

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if self.broken:
            raise RuntimeError("out of memory")
        return self.inner(hidden)


def test_a_failing_model_fails_all_waiting_and_leaves_the_policy_usable(
    own_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    inner: Any = own_model
    inner.model.norm = norm = Breakable(inner.model.norm)
    policy = LocalPolicy(own_model, tokenizer)
    conversations = [Conversation(policy, index, WARM) for index in range(3)]

    async def both() -> list[Completion | BaseException]:
        return await asyncio.gather(*(c.turn() for c in conversations), return_exceptions=True)

    norm.broken = True
    results = asyncio.run(both())
    assert all(isinstance(result, InferenceFault) for result in results)
    assert "session-2" in str(results[2])
    assert "out of memory" in str(results[2])
    norm.broken = False
    assert all(isinstance(result, Completion) for result in asyncio.run(both()))
    for conversation in conversations:
        assert_logprobs(own_model, conversation)


def test_training_mode_and_attention_are_left_alone(
    own_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    config: Any = own_model.config
    own_model.train()
    before: str = config._attn_implementation
    asyncio.run(Conversation(LocalPolicy(own_model, tokenizer), 1, WARM).turn())
    assert own_model.training
    assert config._attn_implementation == before
    loss = own_model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss
    loss.backward()
    assert all(parameter.grad is not None for parameter in own_model.parameters())


def test_cancelling_one_leaves_the_others_and_the_session(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer)
    long = Sampling(1.0, 1.0, 30)
    kept, dropped = Conversation(policy, 1, long), Conversation(policy, 2, long)

    async def play() -> None:
        await dropped.turn()
        other = asyncio.create_task(kept.turn())
        task = asyncio.create_task(dropped.turn())
        while policy.stats.sampled_tokens < 40:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await other
        await dropped.turn()

    asyncio.run(play())
    for conversation in (kept, dropped):
        assert_logprobs(model, conversation)
    fresh = Conversation(LocalPolicy(model, tokenizer), 2, long)
    asyncio.run(fresh.play(2))
    assert_same(dropped, fresh)


@pytest.mark.parametrize("steps", range(1, 8))
def test_cancelling_at_any_moment_harms_nobody(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, steps: int
) -> None:
    policy = LocalPolicy(model, tokenizer)
    brief = Sampling(1.0, 1.0, 6)
    dropped = Conversation(policy, 0, brief)  # ends by itself about when it is cancelled

    async def play() -> Completion:
        other = asyncio.create_task(Conversation(policy, 5, WARM).turn())
        task = asyncio.create_task(dropped.turn())
        asyncio.get_running_loop().call_soon(watch, task)
        await asyncio.wait([task])
        completion = await other
        if task.cancelled():
            await dropped.turn()
        return completion

    def watch(task: asyncio.Task[Completion]) -> None:
        if policy.stats.forwards >= steps:
            task.cancel()
        else:
            asyncio.get_running_loop().call_soon(watch, task)

    alone = asyncio.run(Conversation(LocalPolicy(model, tokenizer), 5, WARM).turn())
    assert asyncio.run(play()).completion_ids.tolist() == alone.completion_ids.tolist()
    assert_logprobs(model, dropped)


def test_the_leader_of_a_group_can_be_cancelled(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer, max_batch_tokens=8)

    async def play() -> Completion:
        leader = asyncio.create_task(Conversation(policy, 3, WARM, "leader").turn())
        follower = asyncio.create_task(Conversation(policy, 3, WARM, "follower").turn())
        while policy.stats.forwards < 2:  # the prompt takes many more
            await asyncio.sleep(0)
        leader.cancel()
        return await asyncio.wait_for(follower, 20)

    fresh = asyncio.run(Conversation(LocalPolicy(model, tokenizer), 3, WARM).turn())
    assert asyncio.run(play()).completion_ids.tolist() == fresh.completion_ids.tolist()


def test_ending_a_session_forgets_it(policy: LocalPolicy) -> None:
    conversation = Conversation(policy, 1, WARM)
    first = asyncio.run(conversation.turn())
    policy.end_session(conversation.name)
    policy.end_session("never heard of")
    again = asyncio.run(Conversation(policy, 1, WARM).turn())
    assert again.prompt_start == 0
    assert again.completion_ids.tolist() == first.completion_ids.tolist()


def test_ending_a_session_cancels_its_request(policy: LocalPolicy) -> None:
    async def play() -> None:
        task = asyncio.create_task(Conversation(policy, 1, Sampling(1.0, 1.0, 50)).turn())
        while policy.stats.forwards < 2:
            await asyncio.sleep(0)
        policy.end_session("session-1")
        with pytest.raises(asyncio.CancelledError):
            await task
        await Conversation(policy, 1, WARM).turn()

    asyncio.run(play())


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


@pytest.mark.parametrize(
    "make",
    [
        lambda: [GenerationRequest("s", opening(0), Sampling(max_tokens=0))],
        lambda: [GenerationRequest("s", opening(0), Sampling(temperature=-1.0))],
        lambda: [GenerationRequest("s", opening(0), Sampling(top_p=0.0))],
        lambda: [GenerationRequest("s", opening(0)), GenerationRequest("s", opening(0))],
    ],
)
def test_wrong_requests_are_usage_errors_and_block_nothing(
    policy: LocalPolicy, make: Callable[[], list[GenerationRequest]]
) -> None:
    async def wrong_then_right() -> list[Completion]:
        with pytest.raises(UsageError):
            await policy.generate(make())
        return await policy.generate([GenerationRequest("s", opening(0), WARM)])

    assert len(asyncio.run(wrong_then_right())) == 1


def test_a_loop_that_was_closed_in_mid_answer_does_no_harm(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer)
    conversation = Conversation(policy, 1, Sampling(1.0, 1.0, 50))
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # it tells of the task it leaves behind
    task = loop.create_task(conversation.turn())
    while policy.stats.forwards < 3:
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert not task.done()

    async def play() -> None:
        other = asyncio.create_task(Conversation(policy, 2, Sampling(1.0, 1.0, 50)).turn())
        nonlocal task
        await conversation.turn()
        del task
        gc.collect()  # what the closed loop left behind goes now
        await other
        await conversation.turn()

    asyncio.run(play())
    assert_logprobs(model, conversation)


def test_a_policy_serves_one_loop_at_a_time(policy: LocalPolicy) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(Conversation(policy, 1, Sampling(1.0, 1.0, 50)).turn())
    while policy.stats.forwards < 3:
        loop.run_until_complete(asyncio.sleep(0))
    with pytest.raises(UsageError, match="another event loop"):
        asyncio.run(Conversation(policy, 2, WARM).turn())
    assert loop.run_until_complete(task).completion_ids.size > 0
    loop.close()


def test_a_loop_that_died_with_requests_in_flight_does_no_harm(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer)
    conversation = Conversation(policy, 1, Sampling(1.0, 1.0, 50))

    async def give_up() -> None:
        task = asyncio.create_task(conversation.turn())
        while policy.stats.forwards < 3:
            await asyncio.sleep(0)
        assert not task.done()

    asyncio.run(give_up())  # cancels what is left
    asyncio.run(conversation.play(2))
    assert_logprobs(model, conversation)


@pytest.mark.parametrize("limits", [{"max_context": 8}, {"max_context": 513}, {"max_sessions": 0}])
def test_impossible_limits_are_refused(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, limits: dict[str, int]
) -> None:
    with pytest.raises(ConfigError, match="must be"):
        LocalPolicy(model, tokenizer, **limits)
