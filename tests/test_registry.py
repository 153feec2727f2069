from __future__ import annotations

import pickle
from typing import Any

import pytest

import agentgym
from agentgym.core.env import AgentEnv
from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.task import Split, TaskSuite
from agentgym.registry import find_spec


def test_make_by_id_and_by_name() -> None:
    for name in ("agentgym/Household-v0", "household"):
        env = agentgym.make(name, split="select")
        observation, info = env.reset(seed=3)
        assert "Your task is to" in observation
        assert env.task.split is Split.SELECT
        assert info["task_id"] == env.task.id


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: agentgym.make("agentgym/Houshold-v0"), "Did you mean 'agentgym/Household-v0'"),
        (lambda: agentgym.make("houshold"), "Did you mean 'household'"),
        (lambda: agentgym.make("household", split="held-out"), "Did you mean 'heldout'"),
        (lambda: agentgym.suite("houshold"), "Did you mean 'household'"),
    ],
)
def test_unknown_names_say_what_was_meant(call: Any, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message) as caught:
        call()
    assert caught.value.exit_code == 2
    assert str(pickle.loads(pickle.dumps(caught.value))).startswith(str(caught.value).split(" Known")[0])


def test_options_an_environment_does_not_take() -> None:
    with pytest.raises(UsageError, match="difficulti"):
        agentgym.make("household", difficulti="easy")
    with pytest.raises(UsageError, match="num_envs"):
        agentgym.make_vec("household", 0)


def test_make_vec_steps_many() -> None:
    envs = agentgym.make_vec("household", 3, split="train", difficulty="easy")
    observations, infos = envs.reset(seed=1)
    assert len(set(observations)) == 3
    assert len(infos["task_id"]) == 3
    observations, rewards, terminated, truncated, _ = envs.step(["look"] * 3)
    assert all("middle of a room" in text for text in observations)
    assert (rewards.tolist(), terminated.any(), truncated.any()) == ([0.0] * 3, False, False)
    envs.close()


def test_suites_have_three_splits() -> None:
    suite = agentgym.suite("household")
    assert len(suite.tasks("train")) >= 10_000
    assert len(suite.tasks("select")) >= 500
    assert len(suite.tasks("heldout")) >= 500
    assert suite.heldout_differs


class _Spec:
    id, name, summary = "test/Registered-v0", "registered-in-a-test", "made by a test"

    def make(self, split: Split, **options: Any) -> AgentEnv:
        return agentgym.make("household", split, **options)

    def suite(self, **options: Any) -> TaskSuite:
        return agentgym.suite("household", **options)


def test_registering_an_environment() -> None:
    agentgym.register(_Spec())
    assert find_spec("registered-in-a-test").id == "test/Registered-v0"
    assert "test/Registered-v0" in agentgym.registered()
    with pytest.raises(UsageError, match="already"):
        agentgym.register(_Spec())
