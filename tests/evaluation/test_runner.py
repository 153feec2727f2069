import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentgym.agents.scripted import OracleAgent, RandomAgent
from agentgym.core.agent import Agent
from agentgym.core.env import EnvSpec
from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.evaluation.compare import Verdict, compare
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.runner import choose_tasks, evaluate

DoorAgent = Callable[[float], Agent]


def run(env: str | EnvSpec, agent: Agent, **arguments: Any) -> Evaluation:
    return asyncio.run(evaluate(env, agent, **arguments))


def test_every_task_is_played_as_often_as_asked(doors: EnvSpec, door_agent: DoorAgent) -> None:
    evaluation = run(doors, door_agent(0.5), samples=3, seed=4)
    assert [(r.task_id, r.sample) for r in evaluation.results[:4]] == [
        ("red-1", 0),
        ("red-1", 1),
        ("red-1", 2),
        ("red-3", 0),
    ]
    assert len(evaluation.results) == 60
    assert len({result.seed for result in evaluation.results}) == 60
    assert len({result.episode_id for result in evaluation.results}) == 60
    assert 0.2 < evaluation.rate().estimate < 0.8
    assert evaluation.groups == ["red", "blue"]
    assert evaluation.task_types == ["even", "odd"]
    assert (evaluation.suite, evaluation.suite_version, evaluation.split) == ("doors", "1", Split.HELDOUT)
    task = doors.make(Split.HELDOUT).suite.tasks(Split.HELDOUT)[0]
    assert evaluation.results[0].task_key == task.key


def test_turns_invalid_actions_and_limits_are_recorded(doors: EnvSpec, door_agent: DoorAgent) -> None:
    lost = run(doors, door_agent(0.0))
    assert (lost.mean_turns, lost.invalid_action_rate) == (3, 1.0)
    assert lost.stop_reasons == {"env_truncated": 20}
    short = run(doors, door_agent(0.0), max_turns=2)
    assert short.stop_reasons == {"max_turns": 20}
    won = run(doors, door_agent(1.0))
    assert (won.mean_turns, won.invalid_action_rate, won.rate().estimate) == (1, 0.0, 1.0)


def test_the_same_arguments_give_the_same_tasks_seeds_and_results(
    doors: EnvSpec, door_agent: DoorAgent
) -> None:
    one = run(doors, door_agent(0.5), samples=2, concurrency=1)
    many = run(doors, door_agent(0.5), samples=2, concurrency=50)
    assert one.results == many.results
    other = run(doors, door_agent(0.5), samples=2, seed=1)
    assert not {r.seed for r in one.results} & {r.seed for r in other.results}


def test_a_tasks_seeds_do_not_depend_on_which_others_are_played(
    doors: EnvSpec, door_agent: DoorAgent
) -> None:
    seeds = {r.task_id: r.seed for r in run(doors, door_agent(0.5)).results}
    few = run(doors, door_agent(0.5), tasks=3, samples=2)
    assert all(seeds[r.task_id] == r.seed for r in few.results if r.sample == 0)


def test_a_few_tasks_are_taken_of_each_group_and_kind(doors: EnvSpec, door_agent: DoorAgent) -> None:
    few = run(doors, door_agent(0.5), tasks=3)
    assert [r.task_id for r in few.results] == ["red-1", "red-0", "red-3", "blue-1", "blue-0", "blue-3"]
    blue = run(doors, door_agent(0.5), tasks=1, group="blue", split="select")
    assert [(r.task_id, r.group) for r in blue.results] == [("blue-1", "blue")]
    assert blue.split is Split.SELECT


def test_better_and_equal_agents_are_told_apart(doors: EnvSpec, door_agent: DoorAgent) -> None:
    weak = run(doors, door_agent(0.3), samples=4)
    same = compare(weak, run(doors, door_agent(0.3), samples=4))
    assert (same.verdict, same.difference.estimate, same.fixed) == (Verdict.CANNOT_TELL, 0, ())
    strong = run(doors, door_agent(0.7), samples=4)
    better = compare(weak, strong)
    assert better.verdict is Verdict.BETTER
    assert better.broken == ()  # the same seeds: whoever knew the door with 0.3 knows it with 0.7
    assert compare(strong, weak).verdict is Verdict.WORSE
    with pytest.raises(UsageError, match="suite_version '1' against '2'"):
        compare(weak, run(doors, door_agent(0.3), samples=4, options={"version": "2"}))


def test_faults_are_lost_episodes_not_failures(doors: EnvSpec, door_agent: DoorAgent) -> None:
    evaluation = run(doors, door_agent(1.0), options={"faulty": ["red-0", "blue-3"]})
    assert evaluation.rate().estimate == 1.0
    assert (evaluation.rate().tasks, evaluation.lost) == (18, {"env_error": 2})
    assert evaluation.options == {"faulty": ["red-0", "blue-3"]}


def test_progress_is_told_for_each_episode(doors: EnvSpec, door_agent: DoorAgent) -> None:
    told: list[tuple[str, int, int]] = []

    def note(episode: Episode, finished: int, total: int) -> None:
        told.append((episode.id, finished, total))

    evaluation = run(doors, door_agent(0.5), tasks=2, samples=2, label="before", on_progress=note)
    assert [(finished, total) for _, finished, total in told] == [(n, 8) for n in range(1, 9)]
    assert sorted(name for name, _, _ in told) == sorted(r.episode_id for r in evaluation.results)
    assert evaluation.results[0].episode_id == "before/0000/00"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"split": "heldot"}, UnknownNameError, "Did you mean 'heldout'"),
        ({"group": "bleu"}, UnknownNameError, "Did you mean 'blue'"),
        ({"samples": 0}, UsageError, "got 0"),
        ({"max_turns": 0}, UsageError, "at least 1"),
        ({"tasks": 0}, UsageError, "no task to evaluate"),
        ({"concurrency": 0}, UsageError, "concurrency"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    doors: EnvSpec, door_agent: DoorAgent, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(doors, door_agent(0.5), **arguments)


def test_an_unknown_environment_is_named(door_agent: DoorAgent) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'household'"):
        run("houshold", door_agent(0.5))


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(UsageError, match="no task to evaluate: 0 in the split"):
        choose_tasks([], None)


def test_tasks_without_groups_are_chosen_too() -> None:
    tasks = [Task(f"{n}", "e", Split.SELECT, params={"task_type": "ab"[n % 2]}) for n in range(6)]
    assert [task.id for task in choose_tasks(tasks, 3)] == ["0", "1", "2"]
    assert choose_tasks(tasks, 100) == tasks


def test_the_expert_is_better_than_chance_in_the_household_world() -> None:
    arguments: dict[str, Any] = {"split": "heldout", "tasks": 6, "samples": 2, "max_turns": 40}
    chance = run("agentgym/Household-v0", RandomAgent(), **arguments)
    expert = run("household", OracleAgent(), **arguments)
    assert expert.rate().estimate == 1.0
    assert expert.groups == ["seen", "unseen"]
    assert len(expert.task_types) == 6
    comparison = compare(chance, expert)
    assert comparison.verdict is Verdict.BETTER
    assert comparison.difference.low > 0.3
