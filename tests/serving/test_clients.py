"""Unmodified clients: what they send and read, with streams and without, and that their calls stay one conversation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import anthropic
import openai
import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
)
from openai.types.chat import ChatCompletionMessageParam
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from agentgym.core.policy import GenerationRequest
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Episode
from tests.serving.desk import PRESS, Http, Scripted, press, serve

TOOLS: list[Any] = [PRESS]
OPENING = "Press the button that lights up."
Play = Callable[[Http, openai.AsyncOpenAI], Awaitable[str]]


def script(request: GenerationRequest) -> str:
    """Think aloud and press red, then blue, then say what was seen."""
    results = [message.content for message in request.messages if message.role == "tool"]
    if len(results) == 2:
        return f"I saw: {', '.join(results)}."
    return f"Let me see. {press('red' if not results else 'blue')}"


def light(colour: str) -> str:
    return f"The {colour} one lights up"


LAST = f"I saw: {light('red')}, {light('blue')}."


def client(http: Http) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=http.gateway.base_url("one"), api_key=http.gateway.token, max_retries=0
    )


async def chat_loop(http: Http, api: openai.AsyncOpenAI) -> str:
    """The loop everybody writes."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": OPENING}]
    while True:
        answer = await api.chat.completions.create(model="policy", messages=messages, tools=TOOLS)
        message = answer.choices[0].message
        if not message.tool_calls:
            return message.content or ""
        messages.append(message.model_dump())  # pyright: ignore[reportArgumentType]
        for call in message.tool_calls:
            assert call.type == "function"
            shown = light(json.loads(call.function.arguments)["colour"])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": shown})


async def chat_stream_loop(http: Http, api: openai.AsyncOpenAI) -> str:
    """The same with streams, put together by the client's own helper."""
    messages: list[Any] = [{"role": "user", "content": OPENING}]
    while True:
        async with api.chat.completions.stream(
            model="policy",
            messages=messages,
            tools=TOOLS,
            stream_options={"include_usage": True},
        ) as stream:
            answer = await stream.get_final_completion()
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 0
        message = answer.choices[0].message
        if not message.tool_calls:
            assert answer.choices[0].finish_reason == "stop"
            return message.content or ""
        assert answer.choices[0].finish_reason == "tool_calls"
        calls = [call.model_dump(include={"id", "type", "function"}) for call in message.tool_calls]
        messages.append({"role": "assistant", "content": message.content, "tool_calls": calls})
        for call in message.tool_calls:
            shown = light(json.loads(call.function.arguments)["colour"])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": shown})


async def responses_loop(http: Http, api: openai.AsyncOpenAI) -> str:
    items: list[Any] = [{"role": "user", "content": OPENING}]
    tools: list[Any] = [{"type": "function", **PRESS["function"], "strict": False}]
    while True:
        answer = await api.responses.create(model="policy", input=items, tools=tools)
        calls = [item for item in answer.output if item.type == "function_call"]
        if not calls:
            return answer.output_text
        items += answer.output
        for call in calls:
            shown = light(json.loads(call.arguments)["colour"])
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": shown})


async def anthropic_loop(http: Http, _: openai.AsyncOpenAI, *, stream: bool = False) -> str:
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": OPENING}]}]
    tool: Any = {"name": "press", "description": "Press.", "input_schema": PRESS["function"]["parameters"]}
    base = http.gateway.base_url("one").removesuffix("/v1")
    async with anthropic.AsyncAnthropic(base_url=base, api_key=http.gateway.token, max_retries=0) as api:
        while True:
            asked: dict[str, Any] = {
                "model": "policy",
                "max_tokens": 99,
                "messages": messages,
                "tools": [tool],
            }
            answer: anthropic.types.Message
            if stream:
                async with api.messages.stream(**asked) as events:
                    answer = await events.get_final_message()
            else:
                answer = cast("anthropic.types.Message", await api.messages.create(**asked))
            uses = [block for block in answer.content if block.type == "tool_use"]
            if not uses:
                assert answer.stop_reason == "end_turn"
                (said,) = answer.content
                assert said.type == "text"
                return said.text
            assert answer.stop_reason == "tool_use"
            messages.append({"role": "assistant", "content": answer.content})
            results = [
                {"type": "tool_result", "tool_use_id": use.id, "content": light(str(use.input["colour"]))}
                for use in uses
            ]
            messages.append({"role": "user", "content": results})


async def anthropic_stream_loop(http: Http, api: openai.AsyncOpenAI) -> str:
    return await anthropic_loop(http, api, stream=True)


def sdk_agent(
    api: openai.AsyncOpenAI, kind: type[OpenAIChatCompletionsModel | OpenAIResponsesModel]
) -> Agent[None]:
    @function_tool
    def press(colour: str) -> str:
        """Press a button."""
        return light(colour)

    model = kind(model="policy", openai_client=api)
    return Agent(
        name="presser",
        instructions="Act.",
        model=model,
        tools=[press],
        model_settings=ModelSettings(temperature=1),
    )


QUIET = RunConfig(tracing_disabled=True)


async def sdk_chat(http: Http, api: openai.AsyncOpenAI) -> str:
    result = await Runner.run(sdk_agent(api, OpenAIChatCompletionsModel), OPENING, run_config=QUIET)
    return str(result.final_output)


async def sdk_responses(http: Http, api: openai.AsyncOpenAI) -> str:
    result = await Runner.run(sdk_agent(api, OpenAIResponsesModel), OPENING, run_config=QUIET)
    return str(result.final_output)


async def sdk_streamed(
    api: openai.AsyncOpenAI, kind: type[OpenAIChatCompletionsModel | OpenAIResponsesModel]
) -> str:
    result = Runner.run_streamed(sdk_agent(api, kind), OPENING, run_config=QUIET)
    kinds = [event.type async for event in result.stream_events()]
    assert "raw_response_event" in kinds
    return str(result.final_output)


async def sdk_chat_streamed(http: Http, api: openai.AsyncOpenAI) -> str:
    return await sdk_streamed(api, OpenAIChatCompletionsModel)


async def sdk_responses_streamed(http: Http, api: openai.AsyncOpenAI) -> str:
    return await sdk_streamed(api, OpenAIResponsesModel)


async def pydantic_ai_agent(http: Http, api: openai.AsyncOpenAI) -> str:
    model = OpenAIChatModel("policy", provider=OpenAIProvider(openai_client=api))
    agent = PydanticAgent(model, instructions="Act.")

    @agent.tool_plain
    def press(colour: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Press a button."""
        return light(colour)

    return (await agent.run(OPENING)).output


@pytest.mark.parametrize(
    "play",
    [
        chat_loop,
        chat_stream_loop,
        responses_loop,
        anthropic_loop,
        anthropic_stream_loop,
        sdk_chat,
        sdk_chat_streamed,
        sdk_responses,
        sdk_responses_streamed,
        pydantic_ai_agent,
    ],
    ids=lambda play: play.__name__,
)
def test_a_client_plays_one_conversation_in_one_session(play: Play) -> None:
    async def use(http: Http, policy: Scripted) -> Episode:
        async with client(http) as api:
            assert await play(http, api) == LAST
        assert list(policy.sampled.values()) == [3], http.problems
        await http.reward("one", 1)
        return await http.gateway.episode("one")

    episode = serve(script, use)
    presses = [turn.action for turn in episode.turns[:2]]
    assert [(one.name, one.arguments) for one in presses if isinstance(one, ToolCall)] == [
        ("press", {"colour": "red"}),
        ("press", {"colour": "blue"}),
    ]
    assert [turn.observation for turn in episode.turns[1:]] == [light("red"), light("blue")]
    length = 0
    for turn in episode.turns:
        assert turn.prompt_start == length, "each token once: what was sampled is never tokenised again"
        length += len(turn.prompt_ids) + len(turn.completion_ids)


def test_a_plain_client_in_a_thread_lists_the_models() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        def listed() -> list[str]:
            with openai.OpenAI(base_url=http.gateway.base_url("one"), api_key=http.gateway.token) as api:
                return [model.id for model in api.models.list()]

        def listed_by_anthropic() -> list[str]:
            with anthropic.Anthropic(base_url=http.gateway.url, api_key=http.gateway.token) as api:
                return [model.id for model in api.models.list()]

        assert await asyncio.to_thread(listed) == ["mine"]
        assert await asyncio.to_thread(listed_by_anthropic) == ["mine"]

    serve(script, use, model="mine")


def test_errors_reach_the_clients_as_their_own() -> None:
    async def use(http: Http, policy: Scripted) -> None:
        async with client(http) as api:
            for call, error in (
                (
                    api.chat.completions.create(model="polcy", messages=[{"role": "user", "content": "a"}]),
                    openai.NotFoundError,
                ),
                (
                    api.chat.completions.create(
                        model="policy", messages=[{"role": "user", "content": "a"}], n=2
                    ),
                    openai.BadRequestError,
                ),
                (
                    api.responses.create(model="policy", input="a", previous_response_id="resp_1"),
                    openai.BadRequestError,
                ),
                (
                    api.responses.create(model="policy", input=[{"type": "item_reference", "id": "x"}]),
                    openai.BadRequestError,
                ),
            ):
                with pytest.raises(error):
                    await call
        base = http.gateway.base_url("one").removesuffix("/v1")
        async with anthropic.AsyncAnthropic(base_url=base, api_key="guess", max_retries=0) as api:
            with pytest.raises(anthropic.AuthenticationError):
                await api.messages.create(
                    model="policy", max_tokens=9, messages=[{"role": "user", "content": "a"}]
                )
        async with anthropic.AsyncAnthropic(base_url=base, api_key=http.gateway.token, max_retries=0) as api:
            wrong: list[tuple[list[Any], str]] = [
                (
                    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
                    "begun for the policy",
                ),
                ([{"role": "user", "content": [{"type": "image"}]}], "got 'image' from user"),
                ([{"role": "robot", "content": "a"}], "'user', 'assistant' or 'system'"),
            ]
            for messages, why in wrong:
                with pytest.raises(anthropic.BadRequestError, match=why):
                    await api.messages.create(model="policy", max_tokens=9, messages=messages)
            with pytest.raises(anthropic.BadRequestError, match="stop_sequences"):
                await api.messages.create(
                    model="policy",
                    max_tokens=9,
                    stop_sequences=["."],
                    messages=[{"role": "user", "content": "a"}],
                )
        assert len(http.problems) == 9

    serve(script, use)
