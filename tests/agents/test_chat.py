from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import agentgym
from agentgym.agents.chat import (
    MAX_ACTION_BYTES,
    ActionFormat,
    ChatAgent,
    ParsedAction,
    parse_action,
)
from agentgym.agents.conversation import turn_seed
from agentgym.core.agent import Agent, Decision, EpisodeStart
from agentgym.core.errors import ConfigError
from agentgym.core.message import Message
from agentgym.core.policy import Policy, Sampling
from agentgym.core.spaces import Utf8Text
from tests.agents.playing import Parrot

formats: st.SearchStrategy[ActionFormat] = st.sampled_from(["plain", "tagged"])
answers = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            ["<action>", "</action>", "<think>", "</think>", "go", " ", "\n", "x" * 5000, "\ud800"]
        )
    ).map("".join),
)


@given(answers, formats)
def test_any_answer_parses_to_something_the_world_takes(answer: str, action_format: ActionFormat) -> None:
    parsed = parse_action(answer, action_format)
    assert Utf8Text(MAX_ACTION_BYTES).contains(parsed.action)
    assert parsed.action == parsed.action.strip()
    if parsed.valid:
        assert len(parsed.action.splitlines()) == 1
        assert parsed.action in answer


@given(answers, formats)
def test_parsing_an_action_again_gives_it_back(answer: str, action_format: ActionFormat) -> None:
    parsed = parse_action(answer, action_format)
    if parsed.valid:
        again = parsed.action if action_format == "plain" else f"<action>{parsed.action}</action>"
        assert parse_action(again, action_format) == parsed
    plain = parse_action(answer, "plain")
    assert parse_action(plain.action, "plain").action == plain.action


@given(st.text(), st.text())
def test_thoughts_around_the_tags_do_not_matter(before: str, action: str) -> None:
    assume("action>" not in before + action)
    tagged = f"<think>{before}</think>\n<action>{action}</action> "
    assert parse_action(tagged, "tagged") == parse_action(action, "plain")


@pytest.mark.parametrize(
    ("answer", "action_format", "expected"),
    [
        ("go to cabinet 3", "plain", ParsedAction("go to cabinet 3", True)),
        (" look\n", "plain", ParsedAction("look", True)),
        ("", "plain", ParsedAction("", False)),
        (" \n ", "plain", ParsedAction("", False)),
        ("look\ngo north", "plain", ParsedAction("look\ngo north", False)),
        ("x" * 5000, "plain", ParsedAction("x" * MAX_ACTION_BYTES, False)),
        ("<action>look</action>", "tagged", ParsedAction("look", True)),
        ("<action>a</action> or <action> b </action>", "tagged", ParsedAction("b", True)),
        ("<action>a<action>b</action>", "tagged", ParsedAction("b", True)),
        ("<action></action>", "tagged", ParsedAction("", False)),
        ("<action>a\nb</action>", "tagged", ParsedAction("a\nb", False)),
        ("<action>look", "tagged", ParsedAction("<action>look", False)),
        ("look", "tagged", ParsedAction("look", False)),
        ("<action>look</action>", "plain", ParsedAction("<action>look</action>", True)),
    ],
)
def test_answers_and_their_actions(answer: str, action_format: ActionFormat, expected: ParsedAction) -> None:
    assert parse_action(answer, action_format) == expected


def start(seed: int = 5, session_id: str = "episode-1") -> EpisodeStart:
    env = agentgym.make("agentgym/Household-v0", split="train")
    _, _ = env.reset(seed=0)
    return EpisodeStart(session_id, env.task, seed, env)


def play(agent: ChatAgent, observations: Sequence[Any], info: dict[str, Any] | None = None) -> list[Decision]:
    async def acts() -> list[Decision]:
        session = agent.start(start())
        decisions = [await session.act(observation, info or {}) for observation in observations]
        session.close()
        return decisions

    return asyncio.run(acts())


def texts(messages: Sequence[Message]) -> list[str]:
    return [f"{message.role}: {message.content}" for message in messages]


def test_it_is_an_agent_and_its_partner_a_policy() -> None:
    parrot = Parrot()
    agent: Agent = ChatAgent(parrot, name="parrot")
    assert agent.name == "parrot"
    assert isinstance(parrot, Policy)


def test_the_conversation_grows_by_answers_and_observations() -> None:
    parrot = Parrot("look", "go north ", "take mug")
    decisions = play(ChatAgent(parrot, system_prompt="Act."), ["A room.", "A desk.", {"text": "North."}])
    assert [decision.action for decision in decisions] == ["look", "go north", "take mug"]
    assert texts(parrot.requests[-1].messages) == [
        "system: Act.",
        "user: A room.",
        "assistant: look",
        "user: A desk.",
        "assistant: go north ",  # as it was sampled, so that its tokens stay
        "user: North.",
    ]
    deltas = [message for decision in decisions for message in decision.messages_delta]
    assert texts(deltas) == [*texts(parrot.requests[-1].messages), "assistant: take mug"]
    assert all(decision.completion and decision.completion.version == 7 for decision in decisions)
    assert parrot.ended == ["episode-1"]


def test_a_window_keeps_the_opening_and_the_last_exchanges() -> None:
    parrot = Parrot("a", "b", "c", "d")
    agent = ChatAgent(parrot, system_prompt="Act.", history=2)
    decisions = play(agent, ["0", "1", "2", "3"])
    assert texts(parrot.requests[1].messages) == ["system: Act.", "user: 0", "assistant: a", "user: 1"]
    assert texts(parrot.requests[3].messages) == [
        "system: Act.",
        "user: 0",
        "assistant: b",
        "user: 2",
        "assistant: c",
        "user: 3",
    ]
    assert texts(decisions[3].messages_delta) == ["user: 3", "assistant: d"]


def test_an_empty_system_prompt_is_left_out() -> None:
    parrot = Parrot("a")
    play(ChatAgent(parrot, system_prompt=""), ["0"])
    assert texts(parrot.requests[0].messages) == ["user: 0"]


def test_admissible_actions_are_listed_when_asked() -> None:
    info = {"admissible_actions": ["look", "go north"]}
    parrot = Parrot("a", "b")
    play(ChatAgent(parrot, show_admissible=True), ["A room."], info)
    play(ChatAgent(parrot), ["A room."], info)
    shown, hidden = (request.messages[-1].content for request in parrot.requests)
    assert shown == "A room.\nYou can: look, go north."
    assert hidden == "A room."


def test_unparsable_answers_are_invalid_and_given_all_the_same() -> None:
    parrot = Parrot("I ponder.\nThen I act.", "<action>look</action>")
    decisions = play(ChatAgent(parrot, action_format="tagged"), ["0", "1"])
    assert [(decision.action, decision.valid) for decision in decisions] == [
        ("I ponder.\nThen I act.", False),
        ("look", True),
    ]


def test_each_turn_has_its_own_seed_and_episodes_repeat() -> None:
    parrot = Parrot(*"abcdef")
    agent = ChatAgent(parrot, sampling=Sampling(0.5, 0.9, 8))
    play(agent, ["0", "1", "2"])
    play(agent, ["0", "1", "2"])
    seeds = [request.seed for request in parrot.requests]
    assert seeds[:3] == seeds[3:] == [turn_seed(5, turn) for turn in range(3)]
    assert all(request.sampling == Sampling(0.5, 0.9, 8) for request in parrot.requests)


@given(st.integers(), st.integers(0, 1000), st.integers(), st.integers(0, 1000))
def test_seeds_of_different_turns_differ(seed: int, turn: int, other_seed: int, other_turn: int) -> None:
    same = (seed, turn) == (other_seed, other_turn)
    assert (turn_seed(seed, turn) == turn_seed(other_seed, other_turn)) == same
    assert 0 <= turn_seed(seed, turn) < 2**64


@pytest.mark.parametrize("options", [{"history": 0}, {"history": -3}, {"action_format": "json"}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="got"):
        ChatAgent(Parrot(), **options)
