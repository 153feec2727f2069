from __future__ import annotations

from itertools import pairwise

import pytest

from agentgym.agents.planner import PROMPT, PlannerAgent
from agentgym.core.errors import UsageError
from agentgym.core.trace import Outcome
from tests.agents.boxes import TOLD, TextBoxes, ToolBoxes
from tests.agents.playing import Parrot, call, play, script


def asked(parrot: Parrot) -> list[str]:
    """Which module each request was for."""
    return [request.messages[-1].content.split("As the ")[-1].split(",")[0] for request in parrot.requests]


def test_four_modules_share_a_memory() -> None:
    parrot = Parrot(
        "Look into box 1.",
        "peek 1",
        "go on, it is 2 or 3",
        "Try box 2.\n",
        "peek 2",
        "Done: it is known.",
        "open 2",
    )
    episode = play(PlannerAgent(parrot), TextBoxes)
    assert episode.success
    assert asked(parrot) == [
        "planner",
        "executor",
        "verifier",
        "planner",
        "executor",
        "verifier",
        "generator",
    ]
    assert [turn.action for turn in episode.turns] == ["peek 1", "peek 2", "open 2"]
    assert [len(turn.thoughts) for turn in episode.turns] == [1, 2, 1]
    system, user = parrot.requests[-1].messages
    assert system.content == PROMPT
    memory, request = user.content.split("\n\n")
    assert request == "As the generator, bring the task to its end: answer with one command."
    assert memory.splitlines() == [
        TOLD,
        "Step 1",
        "Plan: Look into box 1.",
        "Action: peek 1",
        "Result: Box 1 is empty.",
        "Verdict: go on, it is 2 or 3",
        "Step 2",
        "Plan: Try box 2.",
        "Action: peek 2",
        "Result: Box 2 holds the prize.",
        "Verdict: Done: it is known.",
        "Step 3",
    ]
    assert parrot.ended == ["episode"]


def test_each_memory_begins_with_the_one_before() -> None:
    parrot = Parrot("a", "peek 1", "go on", "b", "peek 2", "go on", "c", "open 2")
    play(PlannerAgent(parrot), TextBoxes)
    memories = [request.messages[-1].content.split("\n\n")[0] for request in parrot.requests]
    for before, after in pairwise(memories):
        assert after.startswith(before)
    assert len({request.session_id for request in parrot.requests}) == 1
    assert len({request.seed for request in parrot.requests}) == len(parrot.requests)


def test_what_was_asked_and_answered_is_on_record() -> None:
    parrot = Parrot("a", "peek 1", "done", "open 1")
    first, second = play(PlannerAgent(parrot), TextBoxes).turns
    assert script(first.messages_delta)[:2] == [f"system: {PROMPT}", f"user: {TOLD}"]
    assert [message.content for message in first.messages_delta if message.role == "assistant"] == [
        "a",
        "peek 1",
    ]
    assert second.messages_delta[0].content == "Box 1 is empty."
    assert [message.content for message in second.messages_delta if message.role == "assistant"] == [
        "done",
        "open 1",
    ]


def test_a_window_shows_the_last_steps() -> None:
    parrot = Parrot("a", "peek 1", "go on", "b", "peek 2", "go on", "c", "open 2")
    play(PlannerAgent(parrot, history=1), TextBoxes)
    memory = parrot.requests[-2].messages[-1].content.split("\n\n")[0]
    step = ["Step 2", "Plan: b", "Action: peek 2", "Result: Box 2 holds the prize.", "Verdict: go on"]
    assert memory.splitlines() == [TOLD, *step, "Step 3"]


def test_a_world_with_tools_and_complaints_in_the_memory() -> None:
    parrot = Parrot("Open 2.", "open 2", call("open"), call("open", box=2))
    episode = play(PlannerAgent(parrot), ToolBoxes)
    assert episode.success
    assert len(episode.turns[0].thoughts) == 3
    memory = parrot.requests[-1].messages[-1].content.split("\n\n")[0].splitlines()
    assert memory[2:] == [
        "Plan: Open 2.",
        "Action: open 2",
        "Result: That is no call. Call one of the tools: peek, open.",
        "Action: <tool_call>",
        '{"name": "open", "arguments": {}}',
        "</tool_call>",
        "Result: The argument 'box' of open is missing.",
    ]
    assert all(request.tools for request in parrot.requests)


def test_actions_in_tags() -> None:
    parrot = Parrot("a", "I say <action>open 2</action>")
    assert play(PlannerAgent(parrot, action_format="tagged", system_prompt=""), TextBoxes).success
    assert len(parrot.requests[1].messages) == 1
    assert "inside <action> and </action>" in parrot.requests[1].messages[0].content


def test_what_is_never_an_action_ends_the_episode_with_every_answer_on_record() -> None:
    episode = play(PlannerAgent(Parrot("a", "b", "c", "d")), ToolBoxes)
    assert episode.outcome is Outcome.AGENT_ERROR
    assert len(episode.turns[0].thoughts) == 3


def test_nothing_can_be_dictated() -> None:
    with pytest.raises(UsageError, match="have no `recite`"):
        play(PlannerAgent(Parrot()), TextBoxes, prefix=["peek 1"])
    with pytest.raises(UsageError, match="takes several answers to an action"):
        PlannerAgent(Parrot()).write("peek 1")
