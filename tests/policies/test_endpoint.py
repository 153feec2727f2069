"""What a server is asked and what becomes of its answers; how it fails is in `test_endpoint_faults`."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest

from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.message import Message
from agentgym.core.policy import Completion, FinishReason, GenerationRequest, Policy, Sampling
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.policies.chat_wire import Unreadable, read_answer, request_body
from agentgym.policies.endpoint import EndpointPolicy, EndpointSettings
from agentgym.policies.spending import Prices
from tests.policies.chat_api import END, ChatApi, rendered, token_ids

OPENING = (Message("system", "Act."), Message("user", "You see a desk 1."))
LOOK = ToolSpec("look", "Look at a thing.", {"type": "object", "properties": {"at": {"type": "string"}}})


@pytest.fixture
def api() -> Generator[ChatApi]:
    with ChatApi() as api:
        yield api


def policy_of(api: ChatApi, **settings: Any) -> EndpointPolicy:
    return EndpointPolicy(EndpointSettings(url=api.url, api_key_env="NO_SUCH_KEY", **settings))


def ask(policy: EndpointPolicy, *requests: GenerationRequest) -> list[Completion]:
    return asyncio.run(policy.generate(requests))


def request(*messages: Message, session: str = "s", **fields: Any) -> GenerationRequest:
    return GenerationRequest(session, messages or OPENING, **fields)


def test_it_is_a_policy(api: ChatApi) -> None:
    policy = policy_of(api)
    assert isinstance(policy, Policy)
    assert policy.version == 0
    policy.set_version(3)
    (completion,) = ask(policy, request())
    assert (completion.text, completion.finish_reason, completion.version) == (
        "go to desk 1",
        FinishReason.STOP,
        3,
    )
    assert completion.message is None


def test_the_server_is_asked_for_what_the_request_says(api: ChatApi) -> None:
    sampling = Sampling(temperature=0.5, top_p=0.75, max_tokens=9)
    ask(policy_of(api), request(sampling=sampling, seed=2**40 + 5))
    (body,) = api.chats
    assert body["messages"] == [message.to_openai() for message in OPENING]
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"]) == ("tiny", 0.5, 0.75, 9)
    assert body["seed"] == 5
    assert "tools" not in body


def test_a_vllm_server_gets_every_setting_and_tells_tokens(api: ChatApi) -> None:
    """Its defaults come from the model's files; they would sample another distribution than is trained."""
    ask(policy_of(api), request())
    (body,) = api.chats
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (0, 0.0, 1.0)
    assert body["return_token_ids"]
    assert body["logprobs"]


def test_other_servers_get_no_field_they_may_not_know(api: ChatApi) -> None:
    api.owner = "somebody"
    (completion,) = ask(policy_of(api), request())
    assert set(api.chats[0]) == {"model", "messages", "seed", "temperature", "top_p", "max_tokens"}
    assert len(completion.completion_ids) == len(completion.logprobs) == len(completion.prompt_ids) == 0


def test_openais_own_server_gets_only_what_departs_from_its_defaults() -> None:
    body = request_body(request(sampling=Sampling(max_tokens=9)), "gpt-x", "openai")
    assert set(body) == {"model", "messages", "seed", "max_completion_tokens"}
    assert request_body(request(sampling=Sampling(0.0, 0.5)), "gpt-x", "openai")["temperature"] == 0.0


def test_growing_conversations_tell_only_the_new_ids(api: ChatApi) -> None:
    policy = policy_of(api)
    said = (*OPENING, Message("assistant", "go to desk 1"), Message("user", "On it, you see a mug 1."))
    first, second = [ask(policy, request(*messages))[0] for messages in (OPENING, said)]
    opening = rendered([message.to_openai() for message in OPENING])
    assert (first.prompt_start, first.prompt_ids.tolist()) == (0, opening)
    assert first.completion_ids.tolist() == [*token_ids("go to desk 1"), END]
    np.testing.assert_allclose(first.logprobs, -first.completion_ids / 100, rtol=1e-6)
    previous = [*opening, *first.completion_ids.tolist()]
    assert second.prompt_start == len(previous)
    whole = rendered([message.to_openai() for message in said])
    assert [*previous, *second.prompt_ids.tolist()] == whole


def test_a_changed_history_shares_its_unchanged_beginning(api: ChatApi) -> None:
    policy = policy_of(api)
    ask(policy, request())
    (second,) = ask(policy, request(Message("system", "Act."), Message("user", "You see a shelf 1.")))
    assert second.prompt_start == len(token_ids("system: Act.")) + 1 + len(token_ids("user: You see a "))
    assert [
        *rendered([m.to_openai() for m in OPENING])[: second.prompt_start],
        *second.prompt_ids,
    ] == rendered([{"role": "system", "content": "Act."}, {"role": "user", "content": "You see a shelf 1."}])
    policy.end_session("s")
    policy.end_session("unknown")
    assert ask(policy, request())[0].prompt_start == 0


@pytest.mark.parametrize(
    ("mode", "sampling", "trainable"),
    [
        ("raw", Sampling(1.0), True),
        ("raw", Sampling(0.0), True),
        ("raw", Sampling(1.0, top_p=0.9), True),
        ("raw", Sampling(0.7), False),
        ("processed", Sampling(0.7), True),
        ("processed", Sampling(0.7, top_p=0.9), False),
    ],
)
def test_log_probabilities_of_another_distribution_are_not_passed_on(
    api: ChatApi, mode: Any, sampling: Sampling, trainable: bool
) -> None:
    (completion,) = ask(policy_of(api, logprobs_mode=mode), request(sampling=sampling))
    lengths = {len(completion.completion_ids), len(completion.logprobs), len(completion.prompt_ids)}
    assert (lengths != {0}) is trainable
    assert (min(lengths) > 0) is trainable


def test_tool_calls_arrive_parsed_and_go_back(api: ChatApi) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "desk"}'}}
    api.answer = lambda _: {"content": "Let me see.", "tool_calls": [call]}
    api.finish_reason = "tool_calls"
    policy = policy_of(api)
    (completion,) = ask(policy, request(tools=[LOOK]))
    assert api.chats[0]["tools"] == [LOOK.to_openai()]
    assert completion.tool_calls == (ToolCall("look", {"at": "desk"}, "call_1"),)
    assert completion.finish_reason is FinishReason.STOP
    answer = completion.as_message()
    assert answer.content == "Let me see."
    assert completion.text == (
        'Let me see.<tool_call>{"name": "look", "arguments": {"at": "desk"}}</tool_call>'
    )
    ask(policy, request(*OPENING, answer, Message("tool", "A mug.", tool_call_id="call_1"), tools=[LOOK]))
    sent = api.chats[1]["messages"]
    assert Message.from_openai(sent[2]) == answer
    assert (sent[3]["role"], sent[3]["tool_call_id"]) == ("tool", "call_1")


@pytest.mark.parametrize("arguments", ['{"at": ', "[1]", "desk", '"desk"'])
def test_a_call_with_broken_arguments_is_the_models_text(api: ChatApi, arguments: str) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": arguments}}
    api.answer = lambda _: {"content": None, "tool_calls": [call]}
    (completion,) = ask(policy_of(api), request(tools=[LOOK]))
    assert completion.tool_calls == ()
    assert completion.text == completion.as_message().content
    assert arguments in completion.text


def test_dictated_answers_ask_nobody(api: ChatApi) -> None:
    policy = policy_of(api)
    (completion,) = ask(policy, request(dictated="look"))
    assert (completion.text, completion.version, completion.finish_reason) == ("look", -1, FinishReason.STOP)
    assert api.seen == []
    with pytest.raises(UsageError, match="dictate its text"):
        ask(policy, request(dictated=(1, 2)))


@pytest.mark.parametrize(
    ("max_tokens", "reason"), [(len("go to desk 1"), FinishReason.LENGTH), (50, FinishReason.CONTEXT)]
)
def test_an_answer_cut_short_of_its_tokens_has_met_the_context(
    api: ChatApi, max_tokens: int, reason: FinishReason
) -> None:
    api.finish_reason = "length"
    (completion,) = ask(policy_of(api), request(sampling=Sampling(max_tokens=max_tokens)))
    assert completion.finish_reason is reason


def test_several_requests_in_one_call_keep_their_order(api: ChatApi) -> None:
    api.answer = lambda body: body["messages"][-1]["content"].upper()
    wanted = [request(Message("user", name), session=name) for name in "abcdef"]
    assert [completion.text for completion in ask(policy_of(api), *wanted)] == list("ABCDEF")


def test_a_session_has_one_request_at_a_time(api: ChatApi) -> None:
    policy = policy_of(api)
    with pytest.raises(UsageError, match="'s' has a request under way"):
        ask(policy, request(), request())
    assert len(ask(policy, request())) == 1


def test_tokens_and_cost_are_counted(api: ChatApi) -> None:
    policy = policy_of(api, prices=Prices(1.0, 10.0))
    ask(policy, request(), request(session="t"))
    prompt, completion = len(rendered([m.to_openai() for m in OPENING])), len("go to desk 1") + 1
    assert (policy.usage.requests, policy.usage.retries) == (2, 0)
    assert (policy.usage.prompt_tokens, policy.usage.completion_tokens) == (2 * prompt, 2 * completion)
    assert policy.usage.cost(Prices(1.0, 10.0)) == pytest.approx(2 * (prompt + 10 * completion) / 1e6)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "-1,2", "1,inf", "nan,1"])
def test_prices_are_two_numbers(text: str) -> None:
    with pytest.raises(ConfigError, match="Prices are two numbers"):
        Prices.parse(text)


def test_the_number_of_requests_under_way_is_bounded(api: ChatApi) -> None:
    api.pause_s = 0.05
    ask(policy_of(api, concurrency=3), *(request(session=f"s{number}") for number in range(12)))
    assert len(api.chats) == 12
    assert 1 < api.most_under_way <= 3
    assert sum(seen.path == "/v1/models" for seen in api.seen) == 1


def test_one_policy_serves_one_event_loop_after_another(api: ChatApi) -> None:
    policy = policy_of(api)
    for number in range(3):
        assert ask(policy, request(session=f"s{number}"))[0].text == "go to desk 1"


NO_COMPLETIONS: list[Any] = [
    None,
    "text",
    [],
    {},
    {"choices": []},
    {"choices": [{}]},
    {"choices": [{"message": {"tool_calls": [{}]}}]},
    {"choices": [{"message": {"content": "x"}, "finish_reason": "abort"}]},
    {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}},
    {
        "prompt_token_ids": [1],
        "choices": [{"message": {}, "token_ids": [1, 2], "logprobs": {"content": [{"logprob": 0}]}}],
    },
    {
        "prompt_token_ids": [2**40],
        "choices": [{"message": {}, "token_ids": [1], "logprobs": {"content": [{"logprob": 0}]}}],
    },
]


@pytest.mark.parametrize("data", NO_COMPLETIONS)
def test_what_is_no_completion_is_not_read_as_one(data: Any) -> None:
    with pytest.raises(Unreadable):
        read_answer(data, 10)


def test_text_that_no_request_could_carry_back_is_replaced() -> None:
    answer = read_answer({"choices": [{"message": {"content": "a \ud83d b"}}]}, 10)
    assert answer.text == "a ? b"
