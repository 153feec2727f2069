"""The local policy where tools are offered."""

from __future__ import annotations

import asyncio

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agentgym.core.message import Message
from agentgym.core.policy import Completion, Dictation, GenerationRequest
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.policies.local import LocalPolicy
from tests.policies.conftest import full_logprobs
from tests.policies.conversations import WARM

TOOLS = [ToolSpec("look", "Look at something.")]
OPENING = [Message("system", "Act."), Message("user", "You see a mug 1.")]
CALL = '<tool_call>\n  {"name":"look", "arguments":{"at":"mug 1"}} </tool_call>'


async def ask(
    policy: LocalPolicy, messages: list[Message], *, dictated: Dictation | None = None, tools: bool = True
) -> Completion:
    request = GenerationRequest("one", messages, WARM, 3, TOOLS if tools else (), dictated=dictated)
    (completion,) = await policy.generate([request])
    return completion


def test_a_call_is_parsed_and_the_conversation_goes_on_from_its_ids(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    async def play() -> tuple[Completion, Completion]:
        policy = LocalPolicy(model, tokenizer)
        called = await ask(policy, OPENING, dictated=CALL)
        (call,) = called.tool_calls
        said = Message.from_openai(called.as_message().to_openai())
        answer = await ask(policy, [*OPENING, said, Message("tool", "It is clean.", (), call.id)])
        return called, answer

    called, answer = asyncio.run(play())
    assert called.text == CALL
    assert called.as_message() == Message(
        "assistant", "", (ToolCall("look", {"at": "mug 1"}, called.tool_calls[0].id),)
    )
    before = [*called.prompt_ids, *called.completion_ids]
    assert answer.prompt_start == len(before)
    assert tokenizer.decode(answer.prompt_ids) == "<|tool|>It is clean.<|end|><|assistant|>"
    expected = full_logprobs(model, [*before, *answer.prompt_ids], answer.completion_ids.tolist())
    np.testing.assert_allclose(answer.logprobs, expected, atol=1e-4)
    assert answer.message == Message("assistant", answer.text)


def test_the_same_play_gives_the_same_ids_of_calls_and_another_context_others(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    async def ids(session: str, messages: list[Message]) -> list[str]:
        request = GenerationRequest(session, messages, tools=TOOLS, dictated=CALL)
        (completion,) = await LocalPolicy(model, tokenizer).generate([request])
        return [call.id for call in completion.tool_calls]

    assert (
        asyncio.run(ids("one", OPENING))
        == asyncio.run(ids("two", OPENING))
        != asyncio.run(ids("one", OPENING[1:]))
    )


def test_without_tools_nothing_is_parsed(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    completion = asyncio.run(ask(LocalPolicy(model, tokenizer), OPENING, dictated=CALL, tools=False))
    assert completion.message is None
    assert completion.as_message() == Message("assistant", CALL)
