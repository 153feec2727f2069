"""Evaluations that are kept, interrupted, gone on with, limited, and refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentgym.core.agent import Agent, Decision, EpisodeStart
from agentgym.core.env import EnvSpec
from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.policy import Completion, FinishReason, TokenCount
from agentgym.core.task import Split
from agentgym.core.trace import Episode, StopReason
from agentgym.evaluation.contamination import ContaminationError, must_be_unseen, trained_keys
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.runner import Allowance, evaluate
from agentgym.evaluation.runs import Arguments, EvaluationRun, load_evaluation
from agentgym.policies.spending import Prices
from agentgym.rollout.rules import Rules
from agentgym.store.store import Store
from agentgym.store.tables import RunStatus

DoorAgent = Callable[[float], Agent]
ONCE = Rules(retries=0)
CHEAP = Prices(1.0, 10.0)


@pytest.fixture
def run(tmp_path: Path) -> EvaluationRun:
    arguments = Arguments(env_id="test/Doors-v0", split=Split.HELDOUT, policy="a/b c")
    return EvaluationRun.create(arguments, tmp_path / "runs", "doors", versions={"agentgym": "0"})


def play(run: EvaluationRun, doors: EnvSpec, agent: Agent, **arguments: Any) -> Evaluation:
    with run.playing() as keeper:
        evaluation = asyncio.run(evaluate(doors, agent, keeper=keeper, **arguments))
    run.keep(evaluation)
    return evaluation


def rows(run: EvaluationRun) -> list[str]:
    with Store(run.store) as store:
        return [row.id for row in store.episode_rows(run.name)]


class Counted:
    """Counts the episodes that an agent plays."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.name, self.started = agent, agent.name, 0

    def start(self, start: EpisodeStart) -> Any:
        self.started += 1
        return self.agent.start(start)


class Talker:
    """Answers with two tokens of a model that counts them, for every 100 it reads."""

    name = "talker"

    def start(self, start: EpisodeStart) -> Talker:
        return self

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        completion = Completion("hm", FinishReason.STOP, 0, counted=TokenCount(100, 2))
        return Decision("mumble", completion=completion)

    def close(self) -> None:
        pass


def test_a_kept_evaluation_is_that_of_one_that_is_not(
    run: EvaluationRun, doors: EnvSpec, door_agent: DoorAgent
) -> None:
    kept = play(run, doors, door_agent(0.5), samples=2)
    plain = asyncio.run(evaluate(doors, door_agent(0.5), samples=2))
    assert kept.results == plain.results
    assert Evaluation.load(run.file) == kept == load_evaluation("doors", run.path.parent)
    with Store(run.store) as store:
        (row,) = store.evaluations("doors")
        assert Evaluation.from_json(row.result_json) == kept
        assert store.run("doors").status == RunStatus.FINISHED
    assert len(rows(run)) == 40


def test_what_is_done_is_not_done_again(run: EvaluationRun, doors: EnvSpec, door_agent: DoorAgent) -> None:
    agent = Counted(door_agent(0.5))

    def stop(episode: Episode, done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(run, doors, agent, samples=2, concurrency=3, on_progress=stop)
    with Store(run.store) as store:
        assert store.run("doors").status == RunStatus.INTERRUPTED
    done = len(rows(run))
    assert 7 <= done < 40
    before, told = agent.started, list[int]()

    def note(episode: Episode, done: int, total: int) -> None:
        told.append(done)

    whole = play(run, doors, agent, samples=2, on_progress=note)
    assert agent.started - before == 40 - done
    assert told == list(range(done + 1, 41))
    assert whole.results == asyncio.run(evaluate(doors, door_agent(0.5), samples=2)).results
    again = play(run, doors, agent, samples=2)
    assert agent.started - before == 40 - done
    assert again.results == whole.results


def test_what_was_played_before_the_tasks_changed_is_not_counted_as_the_new_ones(
    run: EvaluationRun, doors: EnvSpec, door_agent: DoorAgent
) -> None:
    play(run, doors, door_agent(0.5), tasks=2)
    before = rows(run)
    with pytest.raises(UsageError, match="the suite has changed"):
        play(run, doors, door_agent(0.5), tasks=2, group="blue")
    assert rows(run) == before


def test_faults_are_played_again_and_counted_apart(
    run: EvaluationRun, doors: EnvSpec, door_agent: DoorAgent
) -> None:
    agent = Counted(door_agent(1.0))
    faulty = play(run, doors, agent, options={"faulty": ["red-0", "blue-3"]}, rules=ONCE)
    assert (faulty.lost, faulty.retried, agent.started) == ({"env_error": 2}, 0, 20)
    assert (faulty.rate().estimate, faulty.rate(of_all=True).estimate) == (1.0, 0.9)
    mended = play(run, doors, agent, rules=ONCE)
    assert (mended.lost, mended.retried, agent.started) == ({}, 2, 22)
    assert mended.rate().tasks == 20
    failures = [json.loads(line) for line in (run.path / "failures.jsonl").read_text("utf-8").splitlines()]
    assert sorted(failure["outcome"] for failure in failures) == ["env_error"] * 2
    assert "The house fell down." in failures[0]["error"]


def test_retries_within_a_run_are_counted_too(
    run: EvaluationRun, doors: EnvSpec, door_agent: DoorAgent
) -> None:
    found = play(run, doors, door_agent(1.0), options={"faulty": ["red-0"]}, rules=Rules(retries=1))
    assert (found.lost, found.retried) == ({"env_error": 1}, 1)


def test_attempts_that_failed_were_paid_for_as_well(run: EvaluationRun, doors: EnvSpec) -> None:
    """Each decision is of 100 and 2 tokens, an episode of three decisions; a faulty task fails at its first step."""
    faulty, decision = {"faulty": ["red-1"]}, (100 * 1 + 2 * 10) / 1e6
    prices = Allowance(prices=CHEAP)
    found = play(run, doors, Talker(), options=faulty, tasks=1, allowance=prices, rules=Rules(retries=1))
    assert (found.lost, found.retried, found.wasted) == ({"env_error": 1}, 1, (100, 2))
    assert found.cost == pytest.approx((1 + 3) * decision)
    again = play(run, doors, Talker(), tasks=1, allowance=prices)
    assert (again.lost, again.retried, again.wasted) == ({}, 2, (100, 2))
    assert again.cost == pytest.approx((1 + 3 + 3) * decision)
    poor = Allowance(cost=3.9 * decision, prices=CHEAP)
    spent = asyncio.run(
        evaluate(doors, Talker(), options=faulty, allowance=poor, concurrency=1, rules=Rules(retries=1))
    )
    assert [result.task_id for result in spent.results] == ["red-3"]


def test_a_limit_on_tokens_ends_an_episode_unsolved(doors: EnvSpec) -> None:
    found = asyncio.run(evaluate(doors, Talker(), allowance=Allowance(tokens=3, prices=Prices(1.0, 10.0))))
    assert {(r.turns, r.completion_tokens, r.stop_reason) for r in found.results} == {
        (2, 4, StopReason.TOKEN_LIMIT)
    }
    assert found.rate().estimate == 0.0
    assert found.cost == pytest.approx(20 * (200 * 1 + 4 * 10) / 1e6)
    assert (found.mean_sampled_tokens, found.token_limit) == (4, 3)


def test_a_limit_on_time_ends_an_episode_unsolved(doors: EnvSpec) -> None:
    found = asyncio.run(evaluate(doors, Talker(), allowance=Allowance(seconds=1e-9)))
    assert {(r.turns, r.stop_reason) for r in found.results} == {(0, StopReason.TIME_LIMIT)}


def test_a_limit_on_cost_ends_the_evaluation_and_more_money_goes_on(
    run: EvaluationRun, doors: EnvSpec
) -> None:
    episode = 3 * (100 * 1 + 2 * 10) / 1e6

    def play_for(cost: float | None, prices: Prices | None = CHEAP) -> Evaluation:
        return play(run, doors, Talker(), allowance=Allowance(cost=cost, prices=prices), concurrency=2)

    poor = play_for(3.5 * episode)
    assert 4 <= len(poor.results) <= 5  # what was under way has ended
    assert poor.missing == 20 - len(poor.results)
    assert play_for(3.5 * episode).results == poor.results
    rich = play_for(100.0)
    assert (len(rich.results), rich.missing) == (20, 0)
    with pytest.raises(UsageError, match=r"needs the prices"):
        play_for(1.0, None)


def test_no_policy_is_evaluated_as_held_out_on_what_it_was_trained_on(
    doors: EnvSpec, door_agent: DoorAgent, tmp_path: Path
) -> None:
    played = asyncio.run(evaluate(doors, door_agent(1.0), tasks=1))
    keys = [result.task_key for result in played.results]
    with pytest.raises(ContaminationError, match=r"trained on 1 of the 20 held-out tasks .*\(blue-1\)"):
        asyncio.run(evaluate(doors, door_agent(1.0), trained=keys[1:]))
    found = asyncio.run(evaluate(doors, door_agent(1.0), trained=["another"]))
    assert len(found.results) == 20


def test_content_counts_and_not_the_name(doors: EnvSpec) -> None:
    (task, *_) = doors.make(Split.HELDOUT).suite.tasks(Split.HELDOUT)
    renamed = replace(task, id="something-else", group="other")
    with pytest.raises(ContaminationError, match=r"something-else"):
        must_be_unseen([renamed], {task.key}, "it")
    must_be_unseen([replace(task, split=Split.SELECT)], {task.key}, "it")
    must_be_unseen([replace(task, seed=task.seed + 1)], {task.key}, "it")


def test_what_a_run_was_evaluated_on_it_was_not_trained_on(
    run: EvaluationRun, doors: EnvSpec, door_agent: DoorAgent
) -> None:
    play(run, doors, door_agent(1.0))
    with Store(run.store) as store:
        assert trained_keys(store, "doors") == frozenset()
        (episode, *_) = store.episodes("doors")
        store.create_run("learner", "train", config={}, versions={})
        store.write_episodes("learner", [episode], iteration=0, phase="guided")
        assert trained_keys(store, "learner") == {episode.task.key}


def test_runs_are_found_by_name_and_path_also_when_renamed(
    run: EvaluationRun, doors: EnvSpec, door_agent: DoorAgent
) -> None:
    evaluation = play(run, doors, door_agent(0.5))
    other = run.path.rename(run.path.with_name("renamed"))
    assert EvaluationRun.open("renamed", other.parent).arguments().policy == "a/b c"
    assert load_evaluation(str(other)) == load_evaluation(str(other / "evaluation.json")) == evaluation
    with pytest.raises(UnknownNameError, match=r"Unknown evaluation 'renamd'. Did you mean 'renamed'"):
        EvaluationRun.open("renamd", other.parent)
    with pytest.raises(UnknownNameError, match=r"Unknown run 'renamd'. Did you mean 'renamed'"):
        load_evaluation("renamd", other.parent)
    with pytest.raises(UnknownNameError, match=r"'rescored'. Known: evaluation"):
        load_evaluation(f"{other}:rescored")
    resumed = EvaluationRun(other)
    assert play(resumed, doors, door_agent(0.5)).results == evaluation.results


def test_a_directory_is_taken_once_and_a_run_without_result_says_how_to_go_on(run: EvaluationRun) -> None:
    with pytest.raises(UsageError, match=r"exists already; .*agentgym eval --resume"):
        EvaluationRun.create(run.arguments(), run.path.parent, "doors", versions={})
    unnamed = EvaluationRun.create(run.arguments(), run.path.parent, None, versions={})
    assert unnamed.name.startswith("eval-doors-a-b-c-")
    with pytest.raises(UnknownNameError, match=r"Known: none. Go on with it: `agentgym eval --resume"):
        load_evaluation("doors", run.path.parent)


def test_arguments_of_another_version_are_refused(run: EvaluationRun) -> None:
    with Store(run.store) as store:
        store._writer.execute("UPDATE runs SET config_json = '{\"policy\": 1}'")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(UsageError, match=r"no evaluation of this version"):
        run.arguments()
