"""Kept episodes judged again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentgym.core.agent import Agent
from agentgym.core.env import AgentEnv, EnvSpec, StepResult
from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.core.task import Split
from agentgym.core.trace import Episode, Outcome
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.rescore import Judgement, by_playing, rescore, rescored
from agentgym.evaluation.runner import evaluate
from agentgym.evaluation.runs import Arguments, EvaluationRun
from agentgym.rollout.rules import Rules
from agentgym.store.store import Store


@pytest.fixture
def played(
    doors: EnvSpec, door_agent: Callable[[float], Agent], tmp_path: Path
) -> tuple[Evaluation, list[Episode]]:
    arguments = Arguments(env_id="test/Doors-v0", split=Split.HELDOUT, policy="p")
    run = EvaluationRun.create(arguments, tmp_path, "run", versions={})
    options = {"faulty": ["red-0"]}
    with run.playing() as keeper:
        playing = evaluate(doors, door_agent(0.5), keeper=keeper, options=options, rules=Rules(retries=0))
        evaluation = asyncio.run(playing)
    with Store(run.store) as store:
        return evaluation, list(store.episodes("run"))


def test_the_same_world_judges_as_before(doors: EnvSpec, played: tuple[Evaluation, list[Episode]]) -> None:
    evaluation, episodes = played
    assert rescored(evaluation, episodes, by_playing(doors.make(Split.HELDOUT))) == evaluation
    assert 0 < evaluation.rate().estimate < 1


def test_a_world_that_was_mended_judges_anew(
    doors: EnvSpec, played: tuple[Evaluation, list[Episode]]
) -> None:
    """The checker let every answer pass that opens a door, say."""

    class Lenient:
        def __init__(self) -> None:
            self.inner = doors.make(Split.HELDOUT)
            self.action_space = self.inner.action_space

        def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
            return self.inner.reset(**arguments)

        def step(self, action: Any) -> StepResult:
            seen, _, _, truncated, info = self.inner.step(action)
            return seen, 2.0, True, truncated, {**info, "success": True}

    evaluation, episodes = played
    lenient: Any = Lenient()
    again = rescored(evaluation, episodes, by_playing(lenient))
    assert again.rate().estimate == 1.0
    assert {result.score for result in again.scored} == {2.0}
    assert again.lost == evaluation.lost == {"env_error": 1}


def test_a_function_judges_by_truth_score_or_judgement(played: tuple[Evaluation, list[Episode]]) -> None:
    _, episodes = played
    lost = [episode for episode in episodes if not episode.outcome.scored]
    for verdict, score in ((True, 1.0), (0.25, 0.25), (3, 3.0), (Judgement(True, -1.0), -1.0)):
        found = list(rescore(episodes, lambda _, verdict=verdict: verdict))
        assert {(e.outcome, e.score) for e in found if e.outcome.scored} == {(Outcome.SUCCESS, score)}
        assert [e for e in found if not e.outcome.scored] == lost
    found = list(rescore(episodes, lambda _: False))
    assert {episode.outcome for episode in found} == {Outcome.FAILURE, Outcome.TRUNCATED, Outcome.ENV_ERROR}


@pytest.mark.parametrize("verdict", [None, "yes", float("nan"), (True, 1.0)])
def test_what_is_no_judgement_is_refused(verdict: Any, played: tuple[Evaluation, list[Episode]]) -> None:
    _, episodes = played
    with pytest.raises(UsageError, match="A scorer returns True, False, a finite number or a Judgement"):
        list(rescore(episodes, lambda _: verdict))


def test_an_environment_that_breaks_and_episodes_that_are_gone_are_told(
    doors: EnvSpec, played: tuple[Evaluation, list[Episode]]
) -> None:
    evaluation, episodes = played
    broken: AgentEnv = doors.make(Split.HELDOUT, faulty=["blue-3"])
    with pytest.raises(EnvironmentFault, match=r"Turn 0 of eval/.*The house fell down"):
        rescored(evaluation, episodes, by_playing(broken))
    with pytest.raises(UsageError, match=r"3 episodes of the evaluation are not kept, such as 'eval/"):
        rescored(evaluation, episodes[3:], lambda _: True)
