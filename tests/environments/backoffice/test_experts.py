"""The careful expert solves everything; the hasty one answers most people without looking."""

from __future__ import annotations

import pytest

import agentgym
from agentgym.core.env import AgentEnv
from agentgym.core.task import Task
from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice.facts import values

TASKS = 60


def play(env: AgentEnv, task: Task) -> tuple[bool, list[ToolCall]]:
    info = env.reset(seed=0, options={"task": task})[1]
    calls: list[ToolCall] = []
    while isinstance(call := env.oracle(), ToolCall):
        calls.append(call)
        info = env.step(call)[4]
    return info["success"], calls


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_haste_skips_looking_and_costs_success(difficulty: str) -> None:
    careful, hasty = (
        agentgym.make("backoffice", difficulty=difficulty, expert=expert) for expert in ("careful", "hasty")
    )
    tasks = careful.suite.tasks("train")[:TASKS]
    best, worse = ([play(env, task) for task in tasks] for env in (careful, hasty))
    assert all(solved for solved, _ in best)
    assert 0 < sum(solved for solved, _ in worse) < TASKS
    alike = [mine == yours for mine, yours in zip(best, worse, strict=True)]
    assert 0.1 < sum(alike) / TASKS < 0.6
    assert worse == [play(hasty, task) for task in tasks]


def test_what_is_made_up_has_the_form_of_what_was_asked_for() -> None:
    env = agentgym.make("backoffice", difficulty="easy", domains=["office"], expert="hasty")
    told = [
        str(calls[0].arguments["message"])
        for task in env.suite.tasks("train")[:90]
        if task.params["task_type"] == "office-when"
        for calls in [play(env, task)[1]]
        if calls[0].name == "reply"
    ]
    times = [value for message in told for value in values(message)]
    assert len(times) > 5
    assert all(int(hour) < 24 and int(minute) < 60 for hour, minute in (time.split(":") for time in times))
