from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.agents.chat import MAX_ACTION_BYTES
from agentgym.agents.react import COMMANDS_PROMPT, TOOLS_PROMPT, ReActAgent, read_command
from agentgym.core.policy import Completion, FinishReason
from agentgym.core.spaces import Utf8Text
from agentgym.core.tool import ToolCall
from tests.agents.boxes import TOLD, TextBoxes, ToolBoxes
from tests.agents.playing import Parrot, call, play, script

pieces = st.sampled_from(["Action:", "Thought:", "\n", " ", "open 2", "Observation:", "x" * 5000, "\ud800"])
commands = st.text(min_size=1).map(str.strip).filter(lambda text: len(text.splitlines()) == 1)


def read(answer: str) -> tuple[object, bool]:
    reading = read_command(Completion(answer, FinishReason.STOP, 0))
    assert not reading.complaint
    return reading.action, reading.valid


@given(st.text() | st.lists(pieces).map("".join))
def test_any_answer_gives_something_the_world_takes(answer: str) -> None:
    action, valid = read(answer)
    assert Utf8Text(MAX_ACTION_BYTES).contains(action)
    assert not valid or "Action:" in answer


@given(commands, st.text(st.characters(codec="ascii")).filter(lambda text: "Action:" not in text))
def test_a_written_command_is_read_whatever_the_thought(command: str, thought: str) -> None:
    written = ReActAgent(Parrot()).write(command)
    assert read(written) == (command, True)
    assert read(f"Thought: {thought}\n{written}\n") == (command, True)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Thought: food?\nAction: open 2", ("open 2", True)),
        ("  Action:open 2  \n\n", ("open 2", True)),
        ("Action: open 2\nObservation: You won.\nAction: open 3", ("open 2", False)),
        ("Action:\nopen 2", ("", False)),
        ("open 2", ("open 2", False)),
        ("My Action: open 2", ("My Action: open 2", False)),
        ("", ("", False)),
    ],
)
def test_answers_and_their_commands(answer: str, expected: tuple[str, bool]) -> None:
    assert read(answer) == expected


def test_a_text_world_by_thought_action_and_observation() -> None:
    parrot = Parrot("Thought: look first\nAction: peek 1", "open it", "Thought: 2 or 3\nAction: open 2")
    episode = play(ReActAgent(parrot), TextBoxes)
    assert episode.success
    assert [(turn.action, turn.valid) for turn in episode.turns] == [
        ("peek 1", True),
        ("open it", False),
        ("open 2", True),
    ]
    assert script(parrot.requests[-1].messages) == [
        f"system: {COMMANDS_PROMPT}",
        f"user: {TOLD}",
        "assistant: Thought: look first\nAction: peek 1",
        "user: Observation: Box 1 is empty.",
        "assistant: open it",
        "user: Observation: Nothing happens.",
    ]
    assert not parrot.requests[0].tools


def test_a_world_with_tools_by_thought_call_and_observation() -> None:
    parrot = Parrot(f"Thought: look first\n{call('peek', box=1)}", "Action: open 2", call("open", box=2))
    agent = ReActAgent(parrot)
    episode = play(agent, ToolBoxes)
    assert episode.success
    first = parrot.requests[1].messages[2]
    assert script(parrot.requests[-1].messages) == [
        f"system: {TOOLS_PROMPT}",
        f"user: {TOLD}",
        'assistant: Thought: look first [peek({"box": 1})]',
        f"tool ({first.tool_calls[0].id}): Observation: Box 1 is empty.",
        "assistant: Action: open 2",
        "user: That is no call. Call one of the tools: peek, open.",
    ]
    assert [len(turn.thoughts) for turn in episode.turns] == [0, 1]
    replayed = play(agent, ToolBoxes, prefix=[agent.write(ToolCall("open", {"box": 2}))])
    assert replayed.success
