from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.message import Message
from agentgym.core.tool import ToolCall
from agentgym.policies.tool_calls import parse_answer, write_call

LOOK = '<tool_call>{"name": "look", "arguments": {}}</tool_call>'

text_in_json = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text_in_json,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text_in_json, inner, max_size=3),
    max_leaves=6,
)
arguments = st.dictionaries(text_in_json, values, max_size=3)
calls = st.builds(ToolCall, text_in_json.filter(bool), arguments)
prose = st.text().filter(lambda text: "<" not in text)
white = st.text(" \t\r\n", max_size=3)
fragments = st.sampled_from(
    [
        "<tool_call>",
        "</tool_call>",
        "{",
        "}",
        '"name"',
        ": ",
        '"a"',
        ", ",
        '"arguments"',
        "[",
        "NaN",
        "\\",
        LOOK,
        " ",
    ]
)


def said(message: Message) -> tuple[str, list[tuple[str, Any]]]:
    return message.content, [(call.name, call.arguments) for call in message.tool_calls]


@given(st.text() | st.lists(fragments | st.text(max_size=3)).map("".join), st.text())
def test_any_text_gives_a_message_that_can_be_said_again(text: str, source: str) -> None:
    message = parse_answer(text, source)
    assert message.role == "assistant"
    if not message.tool_calls:
        assert message.content == text
    json.dumps([dict(call.arguments) for call in message.tool_calls], allow_nan=False)
    again = " ".join([message.content.replace("<tool_call>", ""), *map(write_call, message.tool_calls)])
    assert said(parse_answer(again, ""))[1] == said(message)[1]


@given(st.lists(st.tuples(prose, calls, white, white), min_size=1, max_size=3), prose)
def test_what_is_written_is_read_whatever_the_white_space(
    parts: list[tuple[str, ToolCall, str, str]], end: str
) -> None:
    text = ""
    for before, call, left, right in parts:
        body = json.dumps({"arguments": dict(call.arguments), "name": call.name}, indent=len(left) or None)
        text += f"{before}<tool_call>{left}{body}{right}</tool_call>"
    content = "".join([*(before for before, *_ in parts), end]).strip()
    assert said(parse_answer(text + end, "")) == (
        content,
        [(call.name, call.arguments) for _, call, *_ in parts],
    )


@given(calls)
def test_the_shortest_form_is_read_back(call: ToolCall) -> None:
    assert said(parse_answer(write_call(call), "")) == ("", [(call.name, call.arguments)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " go north\n",
        "<tool_call></tool_call>",
        "<tool_call>look</tool_call>",
        '<tool_call>{"name": "look"}</tool_call>',
        '<tool_call>{"name": "", "arguments": {}}</tool_call>',
        '<tool_call>{"name": 3, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "look", "arguments": []}</tool_call>',
        '<tool_call>{"name": "look", "arguments": "{}"}</tool_call>',
        '<tool_call>{"name": "look", "arguments": {}, "id": "7"}</tool_call>',
        '<tool_call>[{"name": "look", "arguments": {}}]</tool_call>',
        '<tool_call>{"name": "look", "arguments": {}}',
        '{"name": "look", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "look", "arguments": {}} now</tool_call>',
        '<tool_call>{"name": "look", "arguments": {"x": NaN}}</tool_call>',
        '<tool_call>{"name": "look", "arguments": {"x": 1e999}}</tool_call>',
        '<tool_call>{"name": "look", "arguments": {"x": "\\ud800"}}</tool_call>',
        f'<tool_call>{{"name": "look", "arguments": {{"x": {"[" * 100_000}',
        f'<tool_call>{{"name": "look", "arguments": {{"x": {"9" * 5000}}}}}</tool_call>',
    ],
    ids=range(19),
)
def test_what_is_no_call_stays_content(text: str) -> None:
    assert parse_answer(text, "") == Message("assistant", text)


def test_a_call_after_a_broken_one_counts_and_the_broken_one_stays() -> None:
    broken = '<tool_call>{"name": "look", "arguments": {}'
    message = parse_answer(f"First {broken} then {LOOK}", "")
    assert said(message) == (f"First {broken} then", [("look", {})])


def test_a_call_may_speak_of_calls() -> None:
    call = ToolCall("say", {"text": f"write {LOOK} like this"})
    assert said(parse_answer(write_call(call), "")) == ("", [("say", call.arguments)])


def test_ids_differ_within_an_answer_and_between_answers_and_are_always_the_same() -> None:
    first, second = parse_answer(LOOK + LOOK, "a"), parse_answer(LOOK + LOOK, "b")
    ids = [call.id for message in (first, second) for call in message.tool_calls]
    assert len(set(ids)) == 4
    assert parse_answer(LOOK + LOOK, "a") == first
    assert all(name.startswith("call_") and name.isidentifier() for name in ids)
