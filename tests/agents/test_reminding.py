"""Reminders: the goal is said again when it is due, and never otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from agentgym.agents.chat import ChatAgent
from agentgym.agents.planner import PlannerAgent
from agentgym.agents.react import ReActAgent
from agentgym.agents.reminding import Gauge, Reminders
from agentgym.agents.talking import TalkingAgent
from agentgym.agents.toolcalling import ToolCallingAgent
from agentgym.core.errors import ConfigError
from agentgym.core.message import Message
from agentgym.core.policy import Completion, GenerationRequest
from agentgym.core.trace import Episode
from agentgym.registry import make
from agentgym.rollout.episode import run_episode
from tests.agents.boxes import ToolBoxes
from tests.agents.playing import Parrot, play

GOAL = "Your task is to: "


class Numbered(Parrot):
    """A parrot whose answers have one token each: their number."""

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        (said,) = await super().generate(requests)
        ids = np.array([len(self.requests)], np.int32)
        return [
            Completion(said.text, said.finish_reason, 0, completion_ids=ids, logprobs=np.zeros(1, np.float32))
        ]


class Known:
    """A gauge that knows the drift of each answer."""

    def __init__(self, *drifts: float) -> None:
        self.drifts = drifts
        self.asked: list[Sequence[Message]] = []

    def drift(self, messages: Sequence[Message], answer_ids: Sequence[int]) -> float:
        self.asked.append(messages)
        return self.drifts[answer_ids[0] - 1]


def chores(agent: TalkingAgent, turns: int) -> Episode:
    env = make("household", difficulty="easy")
    task = env.suite.tasks("train")[0]
    playing = run_episode(env, agent, task, episode_id="e", group_id="g", seed=1, max_turns=turns)
    return asyncio.run(playing)


def reminded(episode: Episode) -> list[bool]:
    """Whether the goal stood under each observation, that of the opening left out."""
    told = [turn.messages_delta[-2].content for turn in episode.turns]
    return [GOAL in text for text in told[1:]]


def test_every_so_many_turns() -> None:
    policy = Parrot(*["look"] * 8)
    episode = chores(ChatAgent(policy, reminders=Reminders(every=3)), 8)
    assert reminded(episode) == [False, False, True, False, False, True, False]
    assert episode.turns[3].messages_delta[0].content.endswith(f"\n{GOAL}{_instruction()}.")
    assert not any(reminded(chores(ChatAgent(Parrot(*["look"] * 8)), 8)))


def test_after_an_answer_that_drifted() -> None:
    gauge = Known(0.0, 0.3, 0.1, 0.9, 0.2)
    agent = ChatAgent(Numbered(*["look"] * 5), reminders=Reminders(above=0.25, gauge=gauge))
    assert reminded(chores(agent, 5)) == [False, True, False, True]
    assert [len(messages) for messages in gauge.asked] == [2, 4, 6, 8, 10], (
        "the whole conversation, with the prompt"
    )


def test_both_together_and_under_react_and_planner() -> None:
    gauge = Known(0.0, 0.9, 0.0, 0.0)
    both = Reminders(every=3, above=0.5, gauge=gauge)
    assert reminded(chores(ReActAgent(Numbered(*["Action: look"] * 4), reminders=both), 4)) == [
        False,
        True,
        True,
    ]
    planner = Parrot("plan", "look", *["go on", "plan", "look"] * 3)
    chores(PlannerAgent(planner, reminders=Reminders(every=2)), 4)
    # Of the planner's memory each request shows all: the goal of the opening, and from the third observation on another.
    assert [request.messages[-1].content.count(GOAL) for request in planner.requests] == [1] * 5 + [2] * 6


@pytest.mark.parametrize(
    ("every", "above", "gauge"), [(-1, None, None), (0, -0.1, Known()), (0, 0.5, None), (0, None, Known())]
)
def test_what_makes_no_sense_is_refused(every: int, above: float | None, gauge: Gauge | None) -> None:
    with pytest.raises(ConfigError, match="Reminders"):
        Reminders(every, above, gauge)


def test_drift_is_not_measured_where_there_are_tools_or_several_answers() -> None:
    drifting = Reminders(above=0.5, gauge=Known())
    with pytest.raises(ConfigError, match="every so many turns"):
        PlannerAgent(Parrot(), reminders=drifting)
    with pytest.raises(ConfigError, match="conversations of text commands"):
        play(ToolCallingAgent(Parrot("x"), reminders=drifting), ToolBoxes)


def _instruction() -> str:
    env = make("household", difficulty="easy")
    return str(env.reset(options={"task": env.suite.tasks("train")[0]})[1]["instruction"])
