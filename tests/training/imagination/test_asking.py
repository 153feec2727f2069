"""A language model behind a real server as a model of the household world, and as a writer of tasks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from agentgym.agents.scripted import ScriptedAgent
from agentgym.core.errors import InferenceFault
from agentgym.core.trace import Outcome
from agentgym.policies.endpoint import EndpointPolicy, EndpointSettings
from agentgym.rollout.collect import collect, plan_groups
from agentgym.rollout.rules import Rules
from agentgym.training.imagination.asking import AskedModel, Speaker, read_consequence
from agentgym.training.imagination.buffer import ReplayBuffer
from agentgym.training.imagination.counting import CountingModel
from agentgym.training.imagination.edge import WrittenTasks
from agentgym.training.imagination.env import ImaginedEnv, ImaginedSuite
from agentgym.training.imagination.model import Moment, Opening
from tests.policies.chat_api import ChatApi, Reply, error
from tests.training.imagination.conftest import TASKS
from tests.training.imagination.test_env import imagined


@pytest.fixture
def api() -> Iterator[ChatApi]:
    with ChatApi() as api:
        yield api


@pytest.fixture
def speaker(api: ChatApi) -> Iterator[Speaker]:
    speaker = Speaker(EndpointPolicy(EndpointSettings(url=api.url, patience_s=0.2, first_wait_s=0.01)))
    yield speaker
    speaker.close()


def asked(body: dict[str, Any]) -> str:
    return body["messages"][-1]["content"]


MOMENT = Moment(
    "t", "find a mug", "s", (), "You arrive at fridge 1. The fridge 1 is closed.", "open fridge 1"
)


def test_it_is_shown_what_is_like_the_moment_and_its_answer_is_the_consequence(
    api: ChatApi, speaker: Speaker, buffer: ReplayBuffer
) -> None:
    api.answer = lambda _: (
        'Well: {"reasoning": "shut", "observation": "It opens.", "valid": true, "success": false}'
    )
    told = AskedModel(speaker, buffer, examples=2).predict(MOMENT, 5)
    assert (told.observation, told.reward, told.terminated, told.valid) == ("It opens.", 0.0, False, True)
    (body,) = api.chats
    prompt = asked(body)
    assert prompt.count("It did: open fridge 1") == 2
    assert "You open the fridge 1. The fridge 1 is open." in prompt
    assert prompt.endswith("The fridge 1 is closed.\nIt now does: open fridge 1")
    assert body["temperature"] == 0.0


def test_an_answer_in_another_form_is_asked_for_again_and_then_a_fault(
    api: ChatApi, speaker: Speaker, buffer: ReplayBuffer
) -> None:
    api.answer = lambda _: "You open the fridge."
    with pytest.raises(InferenceFault, match="3 times in another form"):
        AskedModel(speaker, buffer).predict(MOMENT, 0)
    assert len(api.chats) == 3


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "{}",
        "[1]",
        "{" * 5000,
        '{"observation": 1, "valid": true, "success": false}',
        '{"observation": "x"}',
    ],
)
def test_no_form_no_consequence(answer: str) -> None:
    assert read_consequence(answer) is None


def test_what_cannot_be_done_fulfils_nothing() -> None:
    told = read_consequence('{"observation": "No.", "valid": false, "success": true}')
    assert told is not None
    assert (told.reward, told.success) == (0.0, False)


def test_a_server_that_goes_away_costs_the_episode_its_score(
    api: ChatApi, speaker: Speaker, buffer: ReplayBuffer
) -> None:
    tasks = imagined(TASKS[:1])
    answers = iter(['{"observation": "On.", "valid": true, "success": false}'] * 2)
    api.answer = lambda _: next(answers, None) or error(500, "away")
    env = ImaginedEnv(AskedModel(speaker, buffer), ImaginedSuite(tasks))
    plans = plan_groups(tasks, 1, label="dream", seed=0)
    agent = ScriptedAgent(["look"] * 4)
    (episode,) = asyncio.run(
        collect(plans, agent, lambda: env, concurrency=1, max_turns=4, rules=Rules(retries=0))
    )
    assert (episode.outcome, episode.score, len(episode.turns)) == (Outcome.INFERENCE_ERROR, None, 2)


def test_a_good_language_model_is_as_good_as_the_world(
    api: ChatApi, speaker: Speaker, buffer: ReplayBuffer
) -> None:
    """Episodes of two tasks, their steps asked of a server by threads: here it knows what the buffer knows."""
    known = CountingModel(buffer)
    ways = {
        way[0].moment.task: way
        for ways in buffer.ways.values()
        for way in ways
        if way[-1].consequence.success
    }
    tasks = [task for task in imagined() if task.params["task"] in ways][:2]

    def answer(body: dict[str, Any]) -> str | Reply:
        prompt = asked(body)
        _, _, episode = prompt.partition("The episode. Goal: ")
        (key,) = [key for key in ways if ways[key][0].moment.observation in episode]
        steps = episode.count("It did: ")
        told = known.predict(ways[key][steps].moment, 0)
        form = {"observation": told.observation, "valid": told.valid, "success": told.success}
        return json.dumps(form)

    api.answer = answer
    model = AskedModel(speaker, buffer)
    for task in tasks:
        actions = [step.moment.action for step in ways[str(task.params["task"])]]
        plans = plan_groups([task], 2, label=task.id, seed=0)
        played = asyncio.run(
            collect(
                plans,
                ScriptedAgent(actions),
                lambda: ImaginedEnv(model, ImaginedSuite(tasks)),
                concurrency=2,
                max_turns=30,
            )
        )
        assert [(each.success, len(each.turns)) for each in played] == [(True, len(actions))] * 2


def test_tasks_are_written_and_what_is_no_task_is_none(api: ChatApi, speaker: Speaker) -> None:
    api.answer = lambda body: (
        '{"opening": "A shed. Your task is to: find a rake.", "instruction": "find a rake."}'
    )
    opening = Opening("A kitchen. Your task is to: find a mug.", "find a mug", "s")
    written = WrittenTasks(speaker).vary(TASKS[0], opening, 7)
    assert written is not None
    assert (written.imagined, written.params["task"], written.params["instruction"]) == (
        True,
        "",
        "find a rake",
    )
    assert "find a mug" in asked(api.chats[0])
    env = ImaginedEnv(AskedModel(speaker, ReplayBuffer()), ImaginedSuite([written]))
    assert env.reset(seed=0)[0] == "A shed. Your task is to: find a rake."
    api.answer = lambda body: "Another one!"
    assert WrittenTasks(speaker).vary(TASKS[0], opening, 7) is None
