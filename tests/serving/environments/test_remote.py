"""A served environment is like a local one."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest

import agentgym
from agentgym.agents.scripted import OracleAgent
from agentgym.conformance.env import check_env
from agentgym.conformance.subject import same
from agentgym.core.env import AgentEnv, Stepping
from agentgym.core.errors import StepError, TaskError, UsageError
from agentgym.core.task import Split
from agentgym.core.tool import ToolCall
from agentgym.core.trace import Outcome
from agentgym.evaluation.runner import evaluate
from tests.serving.environments.stand import Stand, served
from tests.serving.environments.worlds import PaintingSpec


@pytest.fixture(scope="module")
def household() -> Generator[Stand]:
    with served("household") as stand:
        yield stand


@pytest.mark.parametrize("stepping", list(Stepping))
def test_it_keeps_the_contract_with_pictures_and_tools_wherever_it_is_stepped(stepping: Stepping) -> None:
    checks = (
        None if stepping is Stepping.INLINE else ["contract.gymnasium", "contract.tasks", "resources.leaks"]
    )
    with served(PaintingSpec(), options={"stepping": stepping.value}) as stand:
        report = check_env(stand.url, only=checks)
        assert report.passed, report
        assert {result.status.value for result in report.results} == {"pass"}
        assert stand.empty()
    assert stand.problems == []


def test_household_keeps_the_contract_from_afar(household: Stand) -> None:
    checks = ["contract.gymnasium", "contract.tasks", "semantic.snapshot", "resources.leaks"]
    report = check_env(household.url, only=checks)
    assert report.passed, report
    assert household.empty()


def played(env: AgentEnv) -> list[Any]:
    """Everything that an environment tells on the expert's way, with a detour on which it is brought back."""
    told: list[Any] = [env.reset(seed=7), env.task, env.state_key(), env.tools, env.action_space]
    saved = env.snapshot()
    told += [saved, env.step("look"), env.state_key()]
    env.restore(saved)
    while (action := env.oracle()) is not None:
        told += [action, env.step(action), env.state_key()]
    return told


def test_it_tells_what_the_local_one_tells(household: Stand) -> None:
    local = agentgym.make("household", split="select", max_steps=20, render_mode="ansi")
    remote = agentgym.make(household.url, split="select", max_steps=20, render_mode="ansi")
    assert same(played(local), played(remote))
    assert local.render() == remote.render()
    assert (remote.metadata, remote.split) == (local.metadata, Split.SELECT)
    assert remote.suite.heldout_differs == local.suite.heldout_differs
    for split in Split:
        ours, theirs = local.suite.tasks(split), remote.suite.tasks(split)
        assert len(ours) == len(theirs)
        assert list(ours[495:505]) == theirs[495:505]
        assert ours[-1] == theirs[-1]
    remote.close()
    assert household.empty()
    assert remote.suite.tasks("train")[0] == local.suite.tasks("train")[0], "a suite outlives its environment"


def test_a_snapshot_is_restored_in_another_session_and_in_a_local_environment(household: Stand) -> None:
    one, other, local = (agentgym.make(url) for url in (household.url, household.url, "household"))
    one.reset(seed=1)
    one.step("inventory")
    for twin in (other, local):
        twin.restore(one.snapshot())
        assert (twin.task, twin.state_key()) == (one.task, one.state_key())
        assert same(twin.step("look"), one.step("look"))
        one.restore(twin.snapshot())
    one.close()
    other.close()


def test_mistakes_are_told_as_what_they_are(household: Stand) -> None:
    with pytest.raises(UsageError, match=r"no option 'max_step'\. Did you mean 'max_steps'"):
        agentgym.make(household.url, max_step=3)
    with pytest.raises(UsageError, match=r"Unknown split 'trian'\. Did you mean 'train'"):
        agentgym.make(household.url, split="trian")
    env = agentgym.make(household.url)
    with pytest.raises(StepError, match=r"call reset\(\) first"):
        env.step("look")
    with pytest.raises(StepError, match=r"call reset\(\) first"):
        env.state_key()
    with pytest.raises(TaskError, match="Did you mean"):
        env.reset(options={"task": "train-easy-place-99"})
    with pytest.raises(UsageError, match=r"Unknown reset options \['tusk'\]"):
        env.reset(options={"tusk": 1})
    with pytest.raises(UsageError, match=r"damaged or cut off|no snapshot"):
        env.restore(b"nonsense")
    env.reset(seed=0)
    assert env.step("look")[4]["valid"]
    env.close()
    assert household.empty()


def test_what_the_server_fixed_cannot_be_chosen() -> None:
    with served("household", options={"max_steps": 2}) as stand:
        with pytest.raises(UsageError, match="'max_steps' is fixed by this server"):
            agentgym.make(stand.url, max_steps=3)
        env = agentgym.make(stand.url, difficulty="hard")
        env.reset(seed=0)
        assert env.task.difficulty == "hard"
        env.step("look")
        assert env.step("look")[3]
        env.close()


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_it_is_evaluated_like_a_local_one(household: Stand, scheme: str) -> None:
    url = household.url.replace("ws://", f"{scheme}://")
    local, remote = (
        asyncio.run(evaluate(env, OracleAgent(), "heldout", tasks=6)) for env in ("household", url)
    )
    assert remote.env_id == local.env_id == "agentgym/Household-v0"
    assert [(result.task_key, result.seed, result.score, result.turns) for result in remote.results] == [
        (result.task_key, result.seed, result.score, result.turns) for result in local.results
    ]
    assert {result.outcome for result in remote.results} == {Outcome.SUCCESS}
    assert household.empty()


def test_arguments_arrive_as_they_are_whatever_they_look_like() -> None:
    with served("backoffice") as stand:
        remote, local = agentgym.make(stand.url), agentgym.make("backoffice")
        for key in ("$bytes", "$array", "$call", "image/png", "\\$bytes", "other"):
            for arguments in ({key: "?"}, {"message": {key: ["?", {key: 1}]}}):
                for env in (remote, local):
                    env.reset(seed=0)
                there, here = (env.step(ToolCall("reply", arguments)) for env in (remote, local))
                assert same(there, here)
                assert not there[4]["valid"]
        remote.close()


def test_pictures_arrive_to_the_pixel() -> None:
    with served(PaintingSpec()) as stand:
        env, local = agentgym.make(stand.url, render_mode="rgb_array"), PaintingSpec().make(Split.TRAIN)
        task = env.suite.tasks("train")[0]
        there, here = (one.reset(options={"task": task})[0] for one in (env, local))
        assert there["image"].dtype == np.uint8
        assert same(there, here)
        action = local.oracle()
        assert action == env.oracle()
        there, here = env.step(action)[0], local.step(action)[0]
        assert same(there, here)
        assert same(env.render(), there["image"])
        env.close()
