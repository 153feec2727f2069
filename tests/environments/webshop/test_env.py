"""The shop as an environment, as text."""

from __future__ import annotations

from typing import Any

import pytest

import agentgym
from agentgym.conformance.env import CHECKS, check_env
from agentgym.conformance.subject import Limits
from agentgym.core.errors import StepError, TaskError, UnknownNameError, UsageError
from agentgym.core.task import Split
from agentgym.environments.webshop.env import WebshopEnv
from agentgym.environments.webshop.tasks import WebshopSuite


def make(split: str = "train", **options: object) -> WebshopEnv:
    env = agentgym.make("webshop", split=split, **options)
    assert isinstance(env, WebshopEnv)
    return env


def test_it_keeps_the_contract() -> None:
    slow = (
        "contract.reward",
        "semantic.oracle",
        "suite.splits",
    )  # played and looked at below, and in test_catalogue
    checks = [check for check in CHECKS if check not in slow]
    report = check_env("webshop", options={"results": 5}, only=checks, limits=Limits(steps=15))
    assert report.passed, report


@pytest.mark.parametrize("split", list(Split))
def test_the_expert_buys_what_is_asked_for(split: Split) -> None:
    env = make(split.value)
    for task in WebshopSuite().tasks(split)[:60]:
        _, info = env.reset(options={"task": task})
        rewards = list[float]()
        while (action := env.oracle()) is not None:
            assert action in info["admissible_actions"] or action.startswith("search[")
            _, reward, _, _, info = env.step(action)
            rewards.append(reward)
        assert (rewards[-1], sum(rewards), info["success"], info["progress"]) == (1.0, 1.0, True, 1.0), (
            task.id
        )


def test_the_expert_finds_its_way_back_from_anywhere() -> None:
    env = make(max_steps=40)
    for seed in range(12):
        env.reset(seed=seed)
        for action in (
            "search[olive oil]",
            "click[next]",
            "click[previous]",
            "search[zzz]",
            "search[area rug]",
        ):
            assert env.step(action)[4]["valid"], action
        codes = [each for each in env.step("search[area rug]")[4]["admissible_actions"] if len(each) == 10]
        for action in (codes[0], "click[add to cart]", "click[checkout]", "click[cart]", "click[remove 1]"):
            assert env.step(action)[4]["valid"], action
        reward = 0.0
        while (action := env.oracle()) is not None:
            reward = env.step(action)[1]
        assert reward == 1.0


def test_a_cart_can_be_checked_out() -> None:
    env = make()
    env.reset(seed=1)
    expert = list[str]()
    here = env.snapshot()
    while (action := env.oracle()) is not None:
        expert.append(action)
        env.step(action)
    env.restore(here)
    info = dict[str, Any]()
    for action in (*expert[:-1], "click[add to cart]", "click[checkout]"):
        _, reward, terminated, *_, info = env.step(action)
        assert (reward, terminated) == (0.0, False)
    assert info["progress"] == pytest.approx(0.9)
    before = env.snapshot()
    assert env.step("click[place order]")[1:3] == (1.0, True)
    env.restore(before)
    for action in ("click[cart]", "search[popcorn]"):
        env.step(action)
    other = next(
        action for action in env.step("search[popcorn]")[4]["admissible_actions"] if len(action) == 10
    )
    for action in (other, "click[add to cart]", "click[checkout]"):
        env.step(action)
    observation, reward, *_ = env.step("click[place order]")
    assert str(observation).startswith("Thank you for your order:")
    assert reward == pytest.approx(
        0.5, abs=0.05
    )  # the other thing is worth nothing, or what its price and words are


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("", "'' is no action. Write search[words] or click[label]."),
        ("buy it", "is no action"),
        ("click[buy nou]", "There is no 'buy nou' to click here."),
        ("search[ ]", "Search for something"),
        (f"search[{'x' * 100_000}]", "in at most 1000 characters"),
        ("search[\U0001f375 tea \x00 \ud800 ']", "Results 1 to"),
    ],
)
def test_what_cannot_be_done_is_told(action: str, told: str) -> None:
    env = make()
    env.reset(seed=0)
    key = env.state_key()
    observation, reward, terminated, truncated, info = env.step(action)
    assert told in str(observation)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["valid"] == (env.state_key() != key) == told.startswith("Results")


def test_steps_are_counted_and_order_is_kept() -> None:
    env = make(max_steps=2)
    with pytest.raises(StepError, match=r"call reset\(\) first"):
        env.step("search[tea]")
    env.reset(seed=0)
    env.step("search[tea]")
    assert env.step("search[tea]")[2:4] == (False, True)
    with pytest.raises(StepError, match="over after 2 steps"):
        env.step("search[tea]")
    with pytest.raises(TaskError, match="belongs to split 'heldout'"):
        env.reset(options={"task": WebshopSuite().tasks("heldout")[0]})


def test_states_are_told_apart() -> None:
    env, other = make(), make()
    env.reset(seed=0)
    other.reset(seed=0)
    keys = [env.state_key()]
    for action in ("search[tea]", "click[next]", "search[rug]", "search[tea]"):
        env.step(action)
        keys.append(env.state_key())
    assert len(set(keys)) == 4
    assert keys[1] == keys[4]
    other.restore(env.snapshot())
    assert other.state_key() == env.state_key()
    assert other.step("click[next]")[0] == env.step("click[next]")[0]
    for wrong in (b"", b"agentgym webshop 2\n", env.snapshot()[:-1]):
        with pytest.raises(UsageError):
            other.restore(wrong)


def test_options_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'browser'"):
        make(mode="brouser")
    with pytest.raises(UsageError, match="screenshots need mode 'browser'"):
        make(screenshots=True)
    with pytest.raises(UsageError, match="results are 1 to 50"):
        make(results=0)
    env = make(render_mode="ansi", admissible=False)
    _, info = env.reset(seed=0)
    assert "admissible_actions" not in info
    assert env.render() == "What are you looking for?"
