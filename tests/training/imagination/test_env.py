"""The imagined environment keeps the contract of any other, and is never evaluated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from agentgym.agents.scripted import ScriptedAgent
from agentgym.conformance.env import check_env
from agentgym.core.env import Stepping
from agentgym.core.errors import InferenceFault, StepError, TaskError, UsageError
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome
from agentgym.evaluation.results import EpisodeResult
from agentgym.evaluation.runner import evaluate
from agentgym.registry import make
from agentgym.rollout.collect import collect, plan_groups
from agentgym.rollout.replay import replay
from agentgym.training.imagination.buffer import ReplayBuffer
from agentgym.training.imagination.counting import CountingModel
from agentgym.training.imagination.env import ImaginedEnv, ImaginedSuite, imagined_task
from agentgym.training.imagination.model import Consequence, Moment, Opening
from tests.training.imagination.conftest import TASKS


def imagined(tasks: Sequence[Task] = TASKS[:8]) -> list[Task]:
    found: list[Task] = []
    with make("household", difficulty="easy") as env:
        for task in tasks:
            observation, info = env.reset(options={"task": task})
            found.append(imagined_task(task, Opening(observation, info["instruction"], env.state_key())))
    return found


class ImaginedSpec:
    """The imagined household as an environment to be checked."""

    id, name, summary = "imagined:agentgym/Household-v0", "imagined", "For the check."

    def __init__(self, buffer: ReplayBuffer) -> None:
        self._model = CountingModel(buffer)
        self._suite = ImaginedSuite(imagined())

    def suite(self, **options: Any) -> ImaginedSuite:
        return self._suite

    def make(self, split: Split, **options: Any) -> ImaginedEnv:
        return ImaginedEnv(self._model, self._suite)


class Failing:
    """A model that answers twice and then no more, or only nonsense."""

    stepping = Stepping.INLINE

    def __init__(self, reward: float | None = None) -> None:
        self._reward = reward

    def predict(self, moment: Moment, seed: int) -> Consequence:
        if len(moment.history) < 2:
            return Consequence("On you go.")
        if self._reward is None:
            raise InferenceFault("the model is away")
        return Consequence("Here you are.", self._reward, True, True)


def play(env: ImaginedEnv, actions: Sequence[str]) -> list[Episode]:
    plans = plan_groups(env.suite.tasks(Split.TRAIN)[:1], 1, label="dream", seed=0)
    return asyncio.run(
        collect(plans, ScriptedAgent(actions), lambda: env, concurrency=1, max_turns=len(actions))
    )


def test_it_keeps_the_contract(buffer: ReplayBuffer) -> None:
    report = check_env(ImaginedSpec(buffer), only=["contract", "semantic.determinism", "semantic.snapshot"])
    failed = [result for result in report.results if result.status.value == "fail"]
    assert not failed, report


def test_a_solved_episode_is_solved_again_and_its_record_says_that_it_is_imagined(
    played: list[Episode], buffer: ReplayBuffer
) -> None:
    won = next(each for each in played if each.success)
    (task,) = imagined([won.task])
    env = ImaginedEnv(CountingModel(buffer), ImaginedSuite([task]))
    (dreamt,) = play(env, [str(turn.action) for turn in won.turns])
    assert dreamt.success
    assert dreamt.score == 1.0
    assert [turn.observation for turn in dreamt.turns] == [turn.observation for turn in won.turns]
    assert dreamt.task.imagined
    assert (dreamt.task.env_id, dreamt.task.split) == ("imagined:agentgym/Household-v0", Split.TRAIN)
    assert replay(dreamt, env) is None


def test_no_imagined_episode_is_evaluated(played: list[Episode], buffer: ReplayBuffer) -> None:
    dream = replace(played[0], task=imagined([played[0].task])[0])
    with pytest.raises(UsageError, match="cannot be evaluated"):
        EpisodeResult.from_episode(dream, 0)
    with pytest.raises(UsageError, match="cannot be evaluated"):
        asyncio.run(
            evaluate(ImaginedSpec(buffer), ScriptedAgent(["look"] * 9), Split.TRAIN, tasks=1, max_turns=3)
        )


@pytest.mark.parametrize("reward", [None, float("nan"), float("inf")])
def test_what_the_model_cannot_answer_is_a_fault_and_no_reward(reward: float | None) -> None:
    env = ImaginedEnv(Failing(reward), ImaginedSuite(imagined(TASKS[:1])))
    (episode,) = play(env, ["look"] * 3)
    assert (episode.outcome, episode.score, len(episode.turns)) == (Outcome.INFERENCE_ERROR, None, 2)


def test_it_ends_after_its_steps_and_takes_no_more() -> None:
    env = ImaginedEnv(Failing(), ImaginedSuite(imagined(TASKS[:1])), max_steps=2)
    with pytest.raises(StepError, match="call reset"):
        env.step("look")
    env.reset(seed=0)
    assert env.step("look")[2:4] == (False, False)
    assert env.step("look")[2:4] == (False, True)
    with pytest.raises(StepError, match="over after 2 steps"):
        env.step("look")


def test_only_train_tasks_are_imagined_and_only_imagined_ones_are_played() -> None:
    with pytest.raises(TaskError, match="only train tasks"):
        imagined_task(replace(TASKS[0], split=Split.SELECT), Opening("", "", ""))
    with pytest.raises(TaskError, match="imagined tasks of one environment"):
        ImaginedSuite(TASKS[:2])
    env = ImaginedEnv(Failing(), ImaginedSuite(imagined(TASKS[:1])))
    with pytest.raises(TaskError, match="does not say how it begins"):
        env.reset(options={"task": Task("t", env.suite.env_id, Split.TRAIN)})
    env.reset(seed=0)
    with pytest.raises(UsageError, match="no snapshot of an imagined environment"):
        env.restore(b"[]")
