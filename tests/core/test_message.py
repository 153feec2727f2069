from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.errors import UsageError
from agentgym.core.message import Message
from agentgym.core.tool import ToolCall

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
calls = st.builds(ToolCall, st.text(), st.dictionaries(st.text(), JSON, max_size=3), st.text())
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.text(),
    st.lists(calls, max_size=2).map(tuple),
    st.none() | st.text(),
)
wire = st.recursive(
    JSON | st.sampled_from(["assistant", "text", "{}", "{", "[]"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "tool_calls", "function", "name", "arguments", "type", "text", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(messages)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert Message.from_openai(json.loads(json.dumps(message.to_openai()))) == message


def read(data: dict[str, Any]) -> Message | str:
    try:
        return Message.from_openai(data)
    except UsageError as error:
        return str(error)


@given(st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "tool_call_id"]), wire))
def test_anything_else_is_a_message_or_a_usage_error(data: dict[str, Any]) -> None:
    got = read({"role": "assistant", **data})
    assert isinstance(got, Message) or got.startswith(("role: ", "content", "tool_call"))


def test_what_real_clients_write_is_read() -> None:
    call = {
        "id": "c1",
        "type": "function",
        "index": 0,
        "function": {"name": "look", "arguments": '{"at": "desk"}'},
    }
    data = {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None, "audio": None}
    assert Message.from_openai(data) == Message("assistant", "", (ToolCall("look", {"at": "desk"}, "c1"),))
    parts = [{"type": "text", "text": "You see "}, {"type": "text", "text": "a desk."}]
    assert Message.from_openai({"role": "user", "content": parts, "name": "me"}) == Message(
        "user", "You see a desk."
    )
    assert Message.from_openai({"role": "developer", "content": "Act."}) == Message("system", "Act.")
    assert Message.from_openai({"role": "tool", "content": "", "tool_call_id": "c1"}).tool_call_id == "c1"
    assert Message.from_openai({"role": "assistant", "tool_calls": None}) == Message("assistant", "")


@pytest.mark.parametrize("arguments", [{"at": "desk"}, '{"at": "desk"}', ' {\n"at" : "desk"} '])
def test_arguments_are_an_object_or_its_text(arguments: object) -> None:
    data = {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": arguments}}]}
    assert Message.from_openai(data).tool_calls == (ToolCall("look", {"at": "desk"}),)


@pytest.mark.parametrize("arguments", [{}, "", " ", "{}", None])
def test_no_arguments_may_be_said_in_many_ways(arguments: object) -> None:
    data = {
        "role": "assistant",
        "tool_calls": [{"function": {"name": "look", "arguments": arguments}, "id": None}],
    }
    assert Message.from_openai(data).tool_calls == (ToolCall("look", {}),)


def call_with(**function: object) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [{"id": "1", "function": function}]}


def test_images_are_parts_and_are_read_where_they_are_wanted() -> None:
    message = Message("user", "Look.", images=("data:image/png;base64,AAAA", "data:image/png;base64,BBBB"))
    data = json.loads(json.dumps(message.to_openai()))
    assert [part["type"] for part in data["content"]] == ["text", "image_url", "image_url"]
    assert Message.from_openai(data, images=True) == message
    with pytest.raises(
        UsageError, match=r"content\[1\].type: only text parts are read here, got 'image_url'"
    ):
        Message.from_openai(data)
    with pytest.raises(UsageError, match="only text parts"):
        Message.from_openai({"role": "user", "content": [{"type": "image_url"}]}, images=True)


NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"content": "x"}, "role: Unknown role 'None'"),
    ({"role": "asistant"}, "role: Unknown role 'asistant'. Did you mean 'assistant'?"),
    ({"role": "user", "content": 3}, "content: expected a text, null or a list of text parts, got 3"),
    ({"role": "user", "content": ["x"]}, r"content\[0\]: expected a part"),
    (
        {
            "role": "user",
            "content": [{"type": "text", "text": ""}, {"type": "image_url", "image_url": {}}],
        },
        r"content\[1\].type: only text parts are read here, got 'image_url'",
    ),
    ({"role": "user", "content": [{"type": "text"}]}, r"content\[0\]: expected a part"),
    ({"role": "assistant", "tool_calls": {"name": "x"}}, "tool_calls: expected a list"),
    ({"role": "assistant", "tool_calls": ["look"]}, r"tool_calls\[0\]: expected a call"),
    (call_with(name=None), r"tool_calls\[0\]: expected a call"),
    (call_with(arguments="{}"), r"tool_calls\[0\]: expected a call"),
    (call_with(name="look", arguments="{"), r"tool_calls\[0\].function.arguments: not JSON"),
    (
        call_with(name="look", arguments="[1]"),
        r"tool_calls\[0\].function.arguments: expected a JSON object",
    ),
    (
        call_with(name="look", arguments=[1]),
        r"tool_calls\[0\].function.arguments: expected a JSON object",
    ),
    (
        {"role": "assistant", "tool_calls": [{"id": 7, "function": {"name": "look"}}]},
        r"tool_calls\[0\].id: expected a text, got 7",
    ),
    ({"role": "tool", "content": "x", "tool_call_id": 7}, "tool_call_id: expected the id"),
]


@pytest.mark.parametrize(("data", "message"), NONSENSE)
def test_nonsense_is_refused_by_the_name_of_its_field(data: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Message.from_openai(data)
