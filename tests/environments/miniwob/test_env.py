"""Real pages in a real browser: MiniWoB's rewards and time limits, the same in every run; experts; bad actions."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agentgym
from agentgym.conformance import check_env
from agentgym.conformance.subject import Limits
from agentgym.core.errors import TaskError, UnknownNameError, UsageError
from agentgym.core.task import Split, Task
from agentgym.environments import miniwob
from agentgym.environments.browser.grammar import parse
from agentgym.environments.miniwob import SPEC
from agentgym.environments.miniwob.actions import PageActions
from agentgym.environments.miniwob.env import HEIGHT, STEP_MS, WIDTH, MiniwobEnv
from agentgym.environments.miniwob.oracle import known_pages
from agentgym.environments.miniwob.tasks import UNSEEN_FAMILIES, page_names

README = Path(miniwob.__file__).with_name("README.md").read_text("utf-8")


def task_on(page: str, seed: int) -> Task:
    suite = SPEC.suite(pages=[page])
    tasks = suite.tasks(Split.TRAIN) or suite.tasks(Split.HELDOUT)
    return replace(tasks[0], id=f"{page}-{seed}", seed=seed)


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[MiniwobEnv] = []

    def begin(page: str, seed: int = 0, **options: Any) -> MiniwobEnv:
        env = SPEC.make(task_on(page, seed).split, pages=[page], **options)
        made.append(env)
        env.reset(options={"task": task_on(page, seed)})
        return env

    yield begin
    for env in made:
        env.close()


def test_every_page_is_in_the_suite_and_kinds_are_held_out() -> None:
    suite = SPEC.suite()
    pages = {split: {task.task_type for task in suite.tasks(split)} for split in Split}
    assert len(page_names()) == 130
    assert pages[Split.TRAIN] | pages[Split.HELDOUT] == set(page_names())
    assert pages[Split.TRAIN] == pages[Split.SELECT]
    unseen = {task.task_type for task in suite.tasks("heldout") if task.group == "unseen"}
    assert not unseen & pages[Split.TRAIN]
    for family in UNSEEN_FAMILIES:
        assert any(page.startswith(family) for page in unseen), family
    seeds = {split: {(task.task_type, task.seed) for task in suite.tasks(split)} for split in Split}
    assert not seeds[Split.TRAIN] & (seeds[Split.SELECT] | seeds[Split.HELDOUT])


@pytest.mark.parametrize(
    "page",
    [
        "choose-list",
        "click-checkboxes",
        "click-collapsible-2",
        "click-color",
        "enter-date",
        "guess-number",
        "login-user",
        "social-media",
    ],
)
def test_experts_are_rewarded(make: Any, page: str) -> None:
    env = make(page)
    for seed in range(2):
        env.reset(options={"task": task_on(page, seed)})
        info: dict[str, Any] = {}
        for _ in range(20):
            *_, terminated, _, info = env.step(env.oracle())
            if terminated:
                break
        assert info["success"], (page, seed)
        assert info["raw_reward"] > 0
        assert env.oracle() is None


def test_there_are_experts_enough() -> None:
    assert len(known_pages()) >= 25
    assert set(known_pages()) <= set(page_names())


@pytest.mark.parametrize("page", ["chase-circle", "moving-items", "click-pie", "drag-items", "use-slider"])
def test_what_moves_moves_alike(make: Any, page: str) -> None:
    one, other = make(page, 3), make(page, 3)
    keys: list[str] = []
    for action in ["noop()", "mouse_click(80, 120)", "noop()", "mouse_move(40, 150)", "noop()"]:
        assert one.step(action) == other.step(action)
        keys.append(one.state_key())
        assert keys[-1] == other.state_key()
    if page in ("chase-circle", "moving-items"):
        assert len(set(keys)) == len(keys), "nothing moved"


def test_the_time_limit_is_the_pages_own(make: Any) -> None:
    env = make("click-test")
    info: dict[str, Any] = {}
    for number in range(10_000 // STEP_MS):
        _, reward, terminated, _, info = env.step("noop()")
        assert terminated == (number + 1 == 10_000 // STEP_MS)
        assert reward == 0.0
    assert (info["raw_reward"], info["reason"], info["success"]) == (-1.0, "timed out", False)


def test_rewards_are_miniwobs_own(make: Any) -> None:
    env = make("click-test-2")
    *_, info = env.step("click(2)")
    assert (info["raw_reward"], info["timed_reward"], info["success"]) == (-1.0, -1.0, False)
    late = make("click-test-2", timed=True)
    for _ in range(4):
        late.step("noop()")
    _, reward, terminated, _, info = late.step("click(1)")
    assert (terminated, info["raw_reward"]) == (True, 1.0)
    assert reward == info["timed_reward"] == 1.0 - 4 * STEP_MS / 10_000


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("", "is no action"),
        ("click", "is no action"),
        ("clck(1)", "Did you mean 'click'"),
        ("click(99)", "There is no element 99"),
        ('fill(2, "x")', "no field"),
        ('goto("/miniwob/click-test.html")', "leads away"),
        ("go_back()", "leads away"),
        ("new_tab()", "leads away"),
        ("mouse_click(500, 5)", "off the page"),
        ('keyboard_type("' + "x" * 1_000_000 + '")', "characters"),
    ],
)
def test_what_cannot_be_done_says_why_and_takes_no_time(make: Any, action: str, told: str) -> None:
    env = make("enter-text")
    key = env.state_key()
    observation, reward, terminated, truncated, info = env.step(action)
    assert told in observation
    assert (reward, terminated, truncated, info["valid"]) == (0.0, False, False, False)
    assert env.state_key() == key


def test_samples_are_actions_that_can_be_read() -> None:
    space = PageActions(WIDTH, HEIGHT)
    space.seed(1)
    samples = [space.sample() for _ in range(200)]
    assert all(space.contains(sample) for sample in samples)
    verbs = {parse(sample).verb for sample in samples}
    assert verbs == {"click", "mouse_click", "keyboard_type", "keyboard_press", "noop"}


def test_actions_without_end_are_cut_off(make: Any) -> None:
    env = make("enter-text", max_steps=3)
    ends = [env.step("click(99)")[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


def test_a_page_that_is_left_ends_the_episode(make: Any) -> None:
    env = make("click-test", max_steps=10_000)
    browser: Any = env._browser
    browser.evaluate("() => setTimeout(() => location.reload(), 100)")
    terminated, reward, info = False, 1.0, dict[str, Any]()
    while not terminated:  # the page goes while time passes, and is gone at the next action
        _, reward, terminated, _, info = env.step("noop()")
    assert (reward, terminated, info["success"], info["reason"]) == (0.0, True, False, "the page was left")


def test_an_endless_script_is_ended(make: Any) -> None:
    env = make("click-test")
    browser: Any = env._browser
    browser.evaluate(
        "() => document.querySelector('button').addEventListener('mousedown', () => { for (;;) {} })"
    )
    browser.timeout_s = 4.0
    observation, *_ = env.step("click(1)")
    assert "did not answer" in observation


def test_snapshots_come_back_in_another_environment(make: Any) -> None:
    one, other = make("click-checkboxes", 1), make("click-checkboxes", 2)
    one.step(one.oracle())
    other.restore(one.snapshot())
    assert other.state_key() == one.state_key()
    assert other.step(other.oracle()) == one.step(one.oracle())
    with pytest.raises(UsageError, match="no snapshot of a MiniWoB environment"):
        other.restore(b"[]")


def test_the_pointer_is_no_memory_of_the_last_episode(make: Any) -> None:
    env = make("click-collapsible-2")
    fresh = env.state_key()
    env.step("mouse_move(80, 75)")
    hovered = env.state_key()
    env.reset(options={"task": task_on("click-collapsible-2", 0)})
    assert env.state_key() == fresh != hovered


def test_keys_do_not_scroll_the_page(make: Any) -> None:
    env = make("ascending-numbers")  # six pixels too high for the window
    key = env.state_key()
    env.step('keyboard_type(" ")')
    assert env.state_key() == key


def test_pictures_on_demand(make: Any) -> None:
    env = make("click-color", screenshots=True, render_mode="rgb_array")
    observation, _ = env.reset(options={"task": task_on("click-color", 1)})
    assert observation in env.observation_space
    assert observation["image"].shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(env.render(), observation["image"])
    point = re.findall(r"div\.color rgb\((\d+), (\d+), (\d+)\) at \((\d+), (\d+)\)", observation["text"])[0]
    *color, x, y = map(int, point)
    assert observation["image"][y, x].tolist() == color


def test_the_contract_is_kept() -> None:
    report = check_env(
        "miniwob",
        options={"pages": ["click-option", "enter-text", "read-table"]},
        only=[
            "contract.gymnasium",
            "contract.info",
            "contract.step_errors",
            "contract.tasks",
            "suite",
            "semantic.oracle",
        ],
        limits=Limits(steps=5, tasks_per_kind=1),
    )
    assert report.passed, report


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'click-button'"):
        agentgym.make("miniwob", pages=["click-buton"])
    with pytest.raises(TaskError, match="Did you mean 'click-button-7'"):
        SPEC.suite().task("click-buton-7")
    script = "import sys; sys.modules['miniwob'] = None; import agentgym; agentgym.make('miniwob')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "`pip install --no-deps miniwob`" in done.stderr.splitlines()[-1]


def test_the_readmes_transcript_is_what_happens(make: Any) -> None:
    (transcript,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    (page, seed) = re.findall(r"Task `([\w-]+)-(\d+)`", README)[0]
    opening, *turns = transcript.rstrip("\n").split("\n> ")
    env = make(page)
    assert env.reset(options={"task": f"{page}-{seed}"})[0] == opening
    reward = 0.0
    for turn in turns:
        action, shown = turn.split("\n", 1)
        observation, reward, *_ = env.step(action)
        assert observation == shown
    assert reward == 1.0


def test_the_readmes_code_runs_and_its_figures_hold() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True)
    for split in Split:
        tasks = SPEC.suite().tasks(split)
        for group in {task.group for task in tasks}:
            name = f"`{split.value}`, group `{group}`" if group else f"`{split.value}`"
            of = [task for task in tasks if task.group == group]
            assert f"| {name} | {len({task.task_type for task in of})} | {len(of):,} |" in README
    assert all(f"`{family}`" in README for family in UNSEEN_FAMILIES)
