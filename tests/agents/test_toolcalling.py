from __future__ import annotations

import pytest

import agentgym
from agentgym.agents.chat import ChatAgent
from agentgym.agents.toolcalling import PROMPT, ToolCallingAgent
from agentgym.core.agent import EpisodeStart
from agentgym.core.errors import UsageError
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Outcome, StopReason
from tests.agents.boxes import TOLD, TOOLS, TextBoxes, ToolBoxes
from tests.agents.playing import Parrot, call, play, script


def test_the_tools_are_offered_and_observations_come_back_as_results() -> None:
    parrot = Parrot(call("peek", box=1), f"So it is 2 or 3. {call('peek', box=2)}", call("open", box=2))
    episode = play(ToolCallingAgent(parrot), ToolBoxes)
    assert (episode.outcome, episode.score, parrot.ended) == (Outcome.SUCCESS, 1.0, ["episode"])
    assert all(request.tools == TOOLS for request in parrot.requests)
    ids = [turn.action.id for turn in episode.turns if isinstance(turn.action, ToolCall)]
    assert [str(turn.action) for turn in episode.turns] == [
        'peek({"box": 1})',
        'peek({"box": 2})',
        'open({"box": 2})',
    ]
    conversation = [
        f"system: {PROMPT}",
        f"user: {TOLD}",
        'assistant:  [peek({"box": 1})]',
        f"tool ({ids[0]}): Box 1 is empty.",
        'assistant: So it is 2 or 3. [peek({"box": 2})]',
        f"tool ({ids[1]}): Box 2 holds the prize.",
    ]
    assert script(parrot.requests[-1].messages) == conversation
    told = [message for turn in episode.turns for message in turn.messages_delta]
    assert script(told) == [*conversation, 'assistant:  [open({"box": 2})]']
    assert all(turn.valid and not turn.thoughts for turn in episode.turns)


def test_what_is_no_possible_call_is_told_and_asked_for_again() -> None:
    parrot = Parrot("I open box 2.", call("opne", box=2), call("open", box=2))
    episode = play(ToolCallingAgent(parrot), ToolBoxes)
    (turn,) = episode.turns
    assert episode.success
    assert turn.valid
    assert len(turn.thoughts) == 2
    wrong = parrot.requests[2].messages[-2].tool_calls[0].id
    assert script(parrot.requests[2].messages[2:]) == [
        "assistant: I open box 2.",
        "user: That is no call. Call one of the tools: peek, open.",
        'assistant:  [opne({"box": 2})]',
        f"tool ({wrong}): Unknown tool 'opne'. Did you mean 'open'? Known: open, peek.",
    ]
    assert [message.role for message in turn.messages_delta].count("assistant") == 3
    assert len({request.seed for request in parrot.requests}) == 3


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (call("open"), "The argument 'box' of open is missing."),
        (call("open", box="2"), "The argument 'box' of open must fit"),
        (call("open", box=9), "The argument 'box' of open must fit"),
        (call("open", box=2, now=True), "Unknown argument of open 'now'. Known: box."),
        ('<tool_call>{"name": "open"}</tool_call>', "That is no call."),
    ],
)
def test_every_complaint_says_what_to_do(wrong: str, complaint: str) -> None:
    parrot = Parrot(wrong, call("open", box=2))
    assert play(ToolCallingAgent(parrot), ToolBoxes).success
    assert parrot.requests[1].messages[-1].content.startswith(complaint)


def test_after_three_answers_the_episode_ends_and_they_are_on_record() -> None:
    parrot = Parrot(call("peek", box=1), "a", call("open", box=0), "c")
    episode = play(ToolCallingAgent(parrot), ToolBoxes)
    assert (episode.outcome, episode.stop_reason, episode.score) == (
        Outcome.AGENT_ERROR,
        StopReason.ERROR,
        0.0,
    )
    assert episode.error is not None
    assert "'c' is no action of test/ToolBoxes-v0" in episode.error
    first, last = episode.turns
    assert (first.valid, last.valid, last.action, last.reward) == (True, False, "c", 0.0)
    assert last.state_key == "box-2-0 [1] 1"
    assert len(last.thoughts) == 2


def test_of_several_calls_the_first_is_run_and_the_others_are_told_so() -> None:
    parrot = Parrot(call("peek", box=1) + call("peek", box=2), call("open", box=2))
    assert play(ToolCallingAgent(parrot), ToolBoxes).success
    assert [message.content for message in parrot.requests[1].messages[-2:]] == [
        "Box 1 is empty.",
        "Not run: one call at a time.",
    ]
    answers = {message.tool_call_id for message in parrot.requests[1].messages[-2:]}
    assert answers == {made.id for made in parrot.requests[1].messages[-3].tool_calls}


def test_a_window_keeps_calls_and_results_together() -> None:
    parrot = Parrot(call("peek", box=1) + call("peek", box=1), "?", call("peek", box=3), call("open", box=2))
    play(ToolCallingAgent(parrot, history=2, system_prompt=""), ToolBoxes)
    roles = [[message.role for message in request.messages] for request in parrot.requests]
    assert roles == [
        ["user"],
        ["user", "assistant", "tool", "tool"],
        ["user", "assistant", "tool", "tool", "assistant", "user"],
        ["user", "assistant", "user", "assistant", "tool"],
    ]


def test_what_is_shown_besides_the_observation() -> None:
    parrot = Parrot(call("peek", box=1), call("open", box=2))
    play(ToolCallingAgent(parrot, show_admissible=True, restate_task=True), ToolBoxes)
    assert (
        parrot.requests[1]
        .messages[-1]
        .content.startswith(
            'Box 1 is empty.\nYour task is to: open the box with the prize.\nYou can: peek({"box": 1}), '
        )
    )


def test_replayed_answers_are_taken_as_they_are() -> None:
    agent = ToolCallingAgent(Parrot(call("open", box=2)))
    told = [agent.write(ToolCall("peek", {"box": 1})), agent.write(ToolCall("peek", {"box": 3}))]
    episode = play(agent, ToolBoxes, prefix=told)
    assert [str(turn.action) for turn in episode.turns] == [
        'peek({"box": 1})',
        'peek({"box": 3})',
        'open({"box": 2})',
    ]
    wrong = play(ToolCallingAgent(Parrot()), ToolBoxes, prefix=["nonsense"])
    assert (wrong.outcome, len(wrong.turns), wrong.turns[0].thoughts) == (Outcome.AGENT_ERROR, 1, ())


def test_worlds_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"TextBoxes-v0 offers no tools for the agent 'toolcalling'.*'react'"
    ):
        play(ToolCallingAgent(Parrot()), TextBoxes)
    with pytest.raises(UsageError, match=r"takes calls of its tools \(peek, open\).*'toolcalling'"):
        play(ChatAgent(Parrot()), ToolBoxes)
    env = agentgym.make("household")
    env.reset(seed=0)
    with pytest.raises(UsageError, match="offers no tools"):
        ToolCallingAgent(Parrot()).start(EpisodeStart("e", env.task, 0, env))
