"""The local policy when something ends, fails or is called wrongly."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.core.errors import ConfigError, InferenceFault, UsageError
from agentgym.core.policy import Completion, FinishReason, GenerationRequest, Sampling
from agentgym.policies.engine import Engine
from agentgym.policies.kv_cache import KeyValueCache
from agentgym.policies.local import LocalPolicy
from tests.policies.conversations import (
    WARM,
    Conversation,
    assert_logprobs,
    assert_same,
    opening,
    play_all,
)


@pytest.fixture
def policy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> LocalPolicy:
    return LocalPolicy(model, tokenizer)


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
    policy = LocalPolicy(model, tokenizer, max_context=96)
    played = [asyncio.run(Conversation(policy, index, Sampling(1.0, 1.0, 400)).turn()) for index in range(12)]
    full = [c for c in played if c.finish_reason is FinishReason.CONTEXT and len(c.completion_ids)]
    assert full
    assert all(len(c.prompt_ids) + len(c.completion_ids) == 96 for c in full)


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


class Stingy(KeyValueCache):
    """Has memory for few conversations, and none to be had after that."""

    def grow(self, length: int) -> bool:
        if self.positions:
            raise RuntimeError("out of memory")
        return super().grow(length)


class ShortOfMemory(LocalPolicy):
    """A policy whose cache cannot grow."""

    def _make_engine(self) -> Engine:
        cache = Stingy(1 << 20, self.max_context)
        return Engine(self._forward, cache, self._stop_ids, max_batch_tokens=64)


def test_who_waits_for_room_hears_that_there_is_none(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = ShortOfMemory(model, tokenizer)

    async def all_at_once() -> list[Completion | BaseException]:
        turns = (Conversation(policy, index, WARM).turn() for index in range(12))
        return await asyncio.wait_for(asyncio.gather(*turns, return_exceptions=True), 60)

    results = asyncio.run(all_at_once())
    faults = [result for result in results if isinstance(result, InferenceFault)]
    assert faults
    assert all("out of memory" in str(fault) for fault in faults)
    assert all(isinstance(result, Completion | InferenceFault) for result in results)


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
        return await asyncio.wait_for(follower, 60)

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


@pytest.mark.parametrize(
    "make",
    [
        lambda: [GenerationRequest("s", opening(0), Sampling(max_tokens=0))],
        lambda: [GenerationRequest("s", opening(0), Sampling(temperature=-1.0))],
        lambda: [GenerationRequest("s", opening(0), Sampling(top_p=0.0))],
        lambda: [GenerationRequest("s", opening(0), timeout_s=0.0)],
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


def test_a_request_past_its_time_is_given_up_and_the_session_goes_on(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = LocalPolicy(model, tokenizer)
    slow, other = Conversation(policy, 2, WARM, "slow one"), Conversation(policy, 1, Sampling(1.0, 1.0, 40))

    async def play() -> None:
        await slow.turn()
        endless = GenerationRequest(slow.name, tuple(slow.messages), Sampling(1.9, 1.0, 400), timeout_s=0.02)
        task = asyncio.create_task(policy.generate([endless]))
        await asyncio.sleep(0)
        beside = asyncio.create_task(other.turn())
        while not task.done():
            await asyncio.sleep(0)
            time.sleep(0.005)  # noqa: ASYNC251 - steps that take their time
        with pytest.raises(InferenceFault, match=r"'slow one'.*within 0\.02 seconds"):
            await task
        await beside
        await slow.turn()

    asyncio.run(play())
    fresh = Conversation(LocalPolicy(model, tokenizer), 2, WARM)
    asyncio.run(fresh.play(2))
    assert_same(slow, fresh)
    assert_logprobs(model, other)


class Hurried(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


def test_a_request_in_time_is_not_given_up(policy: LocalPolicy) -> None:
    async def play() -> Completion:
        request = GenerationRequest("quick", opening(1), WARM, timeout_s=60.0)
        (completion,) = await policy.generate([request])
        loop.ahead_s = 61.0
        await asyncio.sleep(0.01)
        (again,) = await policy.generate([GenerationRequest("quick", opening(1), WARM)])
        assert again.completion_ids.tolist() == completion.completion_ids.tolist()
        return completion

    loop = Hurried()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert len(runner.run(play()).completion_ids) > 0


@pytest.mark.parametrize("limits", [{"max_context": 8}, {"max_context": 513}, {"max_cache_bytes": 1000}])
def test_impossible_limits_are_refused(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, limits: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="must be"):
        LocalPolicy(model, tokenizer, **limits)


def test_what_is_sampled_on_a_new_event_loop_owes_nothing_to_the_one_before(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    used, fresh = (LocalPolicy(model, tokenizer) for _ in range(2))
    for session in play_all(used, range(20), 4, WARM):
        used.end_session(session.name)
    left, right = (play_all(policy, range(10, 16), 3, WARM) for policy in (used, fresh))
    for one, other in zip(left, right, strict=True):
        for (_, first), (_, second) in zip(one.turns, other.turns, strict=True):
            assert first.completion_ids.tolist() == second.completion_ids.tolist()
            assert first.logprobs.tolist() == second.logprobs.tolist()  # to the last bit
