"""Guides: written after an attempt, shown at the next, kept nowhere; by rules, or by a model behind a server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from agentgym.agents.follower.agent import FollowerAgent
from agentgym.agents.scripted import OracleAgent
from agentgym.core.errors import InferenceFault
from agentgym.core.memory import Memory
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.evolution.adaptation.genome import Adaptation
from agentgym.evolution.adaptation.guiding import (
    FAILED,
    WORKED,
    Guided,
    GuideWriter,
    PolicyGuides,
    ScriptedGuides,
)
from agentgym.evolution.adaptation.lifetimes import Lifetimes
from agentgym.evolution.adaptation.varying import Lifetime, PolicyRewriter
from agentgym.memory.transcripts import Transcript
from agentgym.policies.endpoint import EndpointPolicy, EndpointSettings
from agentgym.registry import factory, suite
from agentgym.rollout.collect import collect, plan_groups
from tests.policies.chat_api import ChatApi, error

TASKS = suite("household", difficulty="easy").tasks(Split.TRAIN)[:4]


def household(split: Split = Split.TRAIN) -> Any:
    return factory("household", split, difficulty="easy")


@pytest.fixture(scope="module")
def solved() -> list[Episode]:
    plans = plan_groups(TASKS, 1, label="expert", seed=0)
    return asyncio.run(collect(plans, OracleAgent(), household(), concurrency=4, max_turns=30))


@pytest.fixture
def api() -> Iterator[ChatApi]:
    with ChatApi() as api:
        yield api


def endpoint(api: ChatApi) -> EndpointPolicy:
    return EndpointPolicy(EndpointSettings(url=api.url, patience_s=0.1, first_wait_s=0.01))


def lived(writer: GuideWriter, adaptation: Adaptation, attempts: int = 2) -> list[list[Episode] | None]:
    def make_agent(memory: Memory | None) -> FollowerAgent:
        return FollowerAgent(memory)

    made = Lifetimes(make_agent, lambda _: None, writer, household, attempts=attempts, max_turns=30)
    return asyncio.run(made.live(adaptation, TASKS))


def test_the_steps_of_a_success_are_a_guide_that_can_be_followed(solved: list[Episode]) -> None:
    attempt = Transcript.of(solved[0])
    guide = asyncio.run(ScriptedGuides().write(WORKED, attempt, "old"))
    memory = Guided(None, {TASKS[0].key: guide})
    plans = plan_groups(TASKS[:1], 1, label="again", seed=9)
    (again,) = asyncio.run(collect(plans, FollowerAgent(memory), household(), concurrency=1, max_turns=30))
    assert again.success
    assert [turn.action for turn in again.turns] == [turn.action for turn in solved[0].turns]
    lost = replace(attempt, success=False)
    assert asyncio.run(ScriptedGuides().write(WORKED, lost, "old")) == "old"


def test_what_was_not_possible_is_listed_once(solved: list[Episode]) -> None:
    attempt = Transcript.of(solved[0])
    wrong = replace(
        attempt, steps=tuple(step._replace(valid=False) for step in (*attempt.steps, *attempt.steps))
    )
    guide = asyncio.run(ScriptedGuides().write(FAILED, wrong, ""))
    assert guide.splitlines() == ["Not possible:", *dict.fromkeys(step.action for step in attempt.steps)]
    assert asyncio.run(ScriptedGuides().write("Write a poem.", wrong, "old")) == "old"


def test_attempts_have_the_same_seeds_whatever_the_adaptation() -> None:
    alone, guided = lived(ScriptedGuides(), Adaptation()), lived(ScriptedGuides(), Adaptation(prompt=FAILED))
    for one, other in zip(alone, guided, strict=True):
        assert one is not None
        assert other is not None
        assert [each.seed for each in one] == [each.seed for each in other]
        assert [turn.action for turn in one[0].turns] == [turn.action for turn in other[0].turns]
        assert one[0].seed != one[1].seed


def test_a_model_writes_the_guide_from_the_attempt(api: ChatApi, solved: list[Episode]) -> None:
    """A server that reads the expert's solution out of its pocket: every second attempt succeeds."""
    ways = {episode.turns[0].observation.split("Your task is to: ")[1]: episode for episode in solved}

    def answer(body: dict[str, Any]) -> str:
        asked: str = body["messages"][-1]["content"]
        assert asked.startswith("Help it.\n\nThe attempt:\n-= Welcome")
        assert asked.endswith(("It did not solve the task.", "It solved the task."))
        goal = asked.split("Your task is to: ")[1].splitlines()[0]
        steps = [f"{n}. {turn.action}" for n, turn in enumerate(ways[goal].turns, 1)]
        return "\n".join([f"When the task reads: Your task is to: {goal}", "Steps:", *steps])

    api.answer = answer
    attempts = lived(PolicyGuides(endpoint(api)), Adaptation(prompt="Help it."))
    assert [each[1].success for each in attempts if each is not None] == [True] * 4
    assert len(api.chats) == 4
    assert all(body["temperature"] == 0.0 for body in api.chats)


def test_a_writer_that_is_away_is_a_fault(api: ChatApi) -> None:
    api.answer = lambda _: error(500, "away")
    with pytest.raises(InferenceFault):
        lived(PolicyGuides(endpoint(api)), Adaptation(prompt="Help it."))


REWRITTEN = {
    "Look: <prompt> Say what to look for first. </prompt>": "Say what to look for first.",
    "No tags here.": None,
    "<prompt></prompt>": None,
    "<prompt>Help it.</prompt>": None,
    f"<prompt>{'x' * 5000}</prompt>": None,
}


@pytest.mark.parametrize("answer", REWRITTEN)
def test_a_model_rewrites_the_prompt(api: ChatApi, solved: list[Episode], answer: str) -> None:
    api.answer = lambda _: answer
    told = [Lifetime([solved[0]], 1.0)]
    new = asyncio.run(PolicyRewriter(endpoint(api)).rewrite("Help it.", told, random.Random(0)))
    assert new == REWRITTEN[answer]
    asked = api.chats[0]["messages"][-1]["content"]
    assert "<prompt>\nHelp it.\n</prompt>" in asked
    assert "Attempt 1 (solved):" in asked


def test_a_prompt_with_things_of_the_tasks_in_it_is_refused(api: ChatApi, solved: list[Episode]) -> None:
    thing = str(solved[0].turns[0].action).removeprefix("go to ")
    api.answer = lambda _: f"<prompt>Always look at {thing} first.</prompt>"
    told = [Lifetime([solved[0]], 1.0)]
    assert asyncio.run(PolicyRewriter(endpoint(api)).rewrite("", told, random.Random(0))) is None
    api.answer = lambda _: "<prompt>Name 2 places to look at.</prompt>"
    assert asyncio.run(PolicyRewriter(endpoint(api)).rewrite("", told, random.Random(0))) is not None
