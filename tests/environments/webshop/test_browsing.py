"""One world, two ways in: what is done as text and through Chromium leads to the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest

import agentgym
from agentgym.core.env import Stepping
from agentgym.core.errors import UsageError
from agentgym.environments.browser.chromium import VARIABLE
from agentgym.environments.webshop.env import WebshopEnv
from agentgym.environments.webshop.tasks import WebshopSuite


@pytest.fixture(scope="module")
def browser() -> Iterator[WebshopEnv]:
    env = agentgym.make("webshop", mode="browser", results=4)
    assert isinstance(env, WebshopEnv)
    yield env
    env.close()


def test_expert_trajectories_are_the_same_both_ways(browser: WebshopEnv) -> None:
    text = agentgym.make("webshop", results=4)
    assert browser.stepping is Stepping.THREAD
    for task in WebshopSuite().tasks("train")[:4]:
        browser.reset(options={"task": task})
        text.reset(options={"task": task})
        assert browser.state_key() == text.state_key()
        reward = 0.0
        while (action := browser.oracle()) is not None:
            _, reward, terminated, truncated, info = browser.step(action)
            assert info["valid"], action
            if action.startswith("fill"):  # typed, and not sent: nothing that there is in text
                assert browser.state_key() != text.state_key()
                continue
            expert = text.oracle()
            assert expert is not None
            _, *same, known = text.step(expert)
            assert same == [reward, terminated, truncated]
            assert browser.state_key() == text.state_key()
            assert (info["progress"], info["success"]) == (known["progress"], known["success"])
        assert reward == 1.0


def test_a_browser_comes_back_to_a_snapshot(browser: WebshopEnv) -> None:
    browser.reset(seed=4)
    snapshots = [browser.snapshot()]
    keys = [browser.state_key()]
    actions = list[str]()
    while (action := browser.oracle()) is not None:
        actions.append(action)
        browser.step(action)
        keys.append(browser.state_key())
        snapshots.append(browser.snapshot())
    for place in (1, 3, 0):
        browser.restore(snapshots[place])
        assert browser.state_key() == keys[place]
        if place == 1:
            assert "value='" in str(browser.step("noop()")[0])  # what was typed is there
        browser.step(actions[place])
        assert browser.state_key() == keys[place + 1]
    with pytest.raises(UsageError, match="no place in the shop for a browser"):
        browser.restore(agentgym_snapshot())


def agentgym_snapshot() -> bytes:
    """A snapshot of the same shop as text."""
    env = agentgym.make("webshop", results=4)
    env.reset(seed=4)
    return env.snapshot()


def test_the_shop_is_all_there_is(browser: WebshopEnv) -> None:
    browser.reset(seed=0)
    key = browser.state_key()
    observation, *_, info = browser.step('goto("http://example.com/")')
    assert "is outside this site" in str(observation)
    assert not info["valid"]
    assert browser.state_key() == key
    assert browser.step("new_tab()")[4]["valid"]
    assert browser.state_key() != key
    browser.restore(browser.snapshot())
    assert "Tab 1 (current): /" in str(browser.step("noop()")[0])


def test_pictures_come_with_the_text() -> None:
    env = agentgym.make("webshop", mode="browser", screenshots=True, render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert "Your task is to: " in observation["text"]
    found = env.step('goto("/search?q=green+tea")')[0]
    assert found["image"].shape == (600, 800, 3)
    assert not np.array_equal(found["image"], observation["image"])
    assert np.array_equal(cast("Any", env.render()), found["image"])
    env.close()


def test_without_chromium_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="apt install chromium"):
        agentgym.make("webshop", mode="browser")
