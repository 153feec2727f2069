from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.errors import UsageError
from agentgym.core.message import Message
from agentgym.core.spaces import DialogueSpace, ToolCallSpace, Utf8Text
from agentgym.core.tool import ToolCall, ToolSpec

MOVE = ToolSpec(
    "move",
    "Move a thing",
    {
        "type": "object",
        "properties": {
            "what": {"type": "string"},
            "count": {"type": "integer"},
            "how": {"type": "string", "enum": ["slowly", "fast"]},
        },
        "required": ["what", "count"],
        "additionalProperties": False,
    },
)


@given(st.text())
def test_any_text_that_encodes_and_fits_is_contained(text: str) -> None:
    assert Utf8Text().contains(text)
    assert Utf8Text(8).contains(text) == (len(text.encode()) <= 8)


@pytest.mark.parametrize("value", ["\ud800", b"bytes", 3, None, ["text"]])
def test_what_is_no_utf8_text_is_not_contained(value: Any) -> None:
    assert not Utf8Text().contains(value)


def test_text_samples_are_contained_and_seeded() -> None:
    space, twin = Utf8Text(seed=3), Utf8Text(seed=3)
    samples = [space.sample() for _ in range(50)]
    assert all(sample in space for sample in samples)
    assert samples == [twin.sample() for _ in range(50)]
    assert space.from_jsonable(space.to_jsonable(samples)) == samples


def test_tool_samples_are_contained() -> None:
    space = ToolCallSpace([MOVE, ToolSpec("look", "Look around")], seed=0)
    samples = [space.sample() for _ in range(50)]
    assert {sample.name for sample in samples} == {"move", "look"}
    assert all(space.contains(sample) for sample in samples)


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("mvoe", {"what": "cup", "count": 1}),
        ToolCall("move", {"what": "cup"}),
        ToolCall("move", {"what": "cup", "count": "1"}),
        ToolCall("move", {"what": "cup", "count": True}),
        ToolCall("move", {"what": "cup", "count": 1, "how": "never"}),
        ToolCall("move", {"what": "cup", "count": 1, "where": "here"}),
        "move cup",
    ],
)
def test_calls_that_break_the_schema_are_not_contained(call: Any) -> None:
    assert not ToolCallSpace([MOVE]).contains(call)


@pytest.mark.parametrize("said", ["", "Done.", ToolCall("mvoe", {"what": ["cup"], "count": None})])
def test_a_dialogue_takes_text_and_any_call(said: Any) -> None:
    space = DialogueSpace([MOVE], seed=0)
    assert space.contains(said)
    assert space.contains(space.sample())


@pytest.mark.parametrize(
    "said", ["\ud800", 3, None, ToolCall("move", {"what": b"cup"}), ToolCall("move", {"what": "\ud800"})]
)
def test_a_dialogue_takes_nothing_that_cannot_be_written_down(said: Any) -> None:
    assert not DialogueSpace([MOVE]).contains(said)


def test_empty_spaces_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one tool"):
        ToolCallSpace([])
    with pytest.raises(UsageError, match="max_bytes"):
        Utf8Text(0)


def test_messages_survive_openais_shape() -> None:
    message = Message("assistant", "moving", (ToolCall("move", {"what": "cup", "count": 2}, "c1"),))
    assert Message.from_openai(message.to_openai()) == message
    answer = Message("tool", "done", tool_call_id="c1")
    assert Message.from_openai(answer.to_openai()) == answer
    assert MOVE.to_openai()["function"]["parameters"] == MOVE.input_schema
