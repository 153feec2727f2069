"""Real applications under a real X server: the expert, bad actions, pictures, isolation, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentgym.core.errors import EnvironmentFault, NotForkableError, StepError, UsageError
from agentgym.core.task import Split
from agentgym.environments import desktop
from agentgym.environments.desktop import SPEC
from agentgym.environments.desktop.env import DesktopEnv
from tests.waiting import eventually

README = Path(desktop.__file__).with_name("README.md").read_text("utf-8")


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[DesktopEnv] = []

    def begin(task: str, **options: Any) -> tuple[DesktopEnv, Any]:
        env = SPEC.make(Split.parse(task.partition("-")[0]), **options)
        made.append(env)
        return env, env.reset(options={"task": task})[0]

    yield begin
    for env in made:
        env.close()


def _processes(user: int) -> int:
    """Count the processes of a user, ended ones that nobody waited for included."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            count += process.stat().st_uid == user
    return count


@pytest.mark.parametrize(
    "template",
    ["edit_append", "shell_search", "calculate_product", "sheet_cell", "show_picture"],
)
def test_the_expert_succeeds_in_each_application(make: Any, template: str) -> None:
    env, _ = make(f"select-{template}-000")
    progress: list[float] = []
    rewards: list[float] = []
    info: dict[str, Any] = {}
    while (action := env.oracle()) is not None:
        _, reward, terminated, _, info = env.step(action)
        assert info["valid"], action
        assert terminated == (action == "done()")
        progress.append(info["progress"])
        rewards.append(reward)
    assert rewards == [*[0.0] * (len(rewards) - 1), 1.0]
    assert progress[-1] == 1.0
    assert info["success"]
    with pytest.raises(StepError, match="The episode is over"):
        env.step("done()")


def test_what_cannot_be_done_changes_nothing_and_says_why(make: Any) -> None:
    env, first = make("train-edit_append-000", pictures=True)
    assert "Your task is to: add the line" in first["text"]
    assert first["image"].shape == (600, 800, 3)
    assert len(np.unique(first["image"])) > 20
    key = env.state_key()
    for action, told in [
        ("click(99)", "no element 99"),
        ("click_at(900, 20)", "off the screen, which is 800 pixels wide"),
        ("scroll(10, 10, 0)", "1 to 20 whole notches"),
        ('key("ctrl+bananas")', "no key 'bananas'"),
        ('type("caf\u00e9")', "no key for '\u00e9'"),
        (f'type("{"x" * 3000}")', "At most 2000 characters"),
        ("x" * 1_000_000, "at most 16384 are read"),
        ("wait(60)", "0 to 5 seconds"),
        ('launch("mousepda")', "Did you mean 'mousepad'"),
        ('launch("mousepad", "../../etc/passwd")', "paths begin there"),
    ]:
        observation, reward, terminated, _, info = env.step(action)
        assert told in observation["text"]
        assert (reward, terminated, info["valid"], info["success"]) == (0.0, False, False, False)
        assert env.state_key() == key
    assert env.oracle() is not None, "refused actions do not lead off the plan"
    observation = env.step('type("abc")')[0]
    assert "= 'abc" in observation["text"]
    assert env.state_key() != key
    assert env.oracle() is None
    assert env.step("done()")[1:3] == (0.0, True)
    with pytest.raises(NotForkableError):
        env.snapshot()


def test_elements_are_clicked_where_they_are(make: Any) -> None:
    env, text = make("train-calculate_product-000")
    for digit in "42":
        number = re.findall(rf'^(\d+) toggle button "{digit}"', text, re.MULTILINE)
        text = env.step(f"click({number[0]})")[0]
    assert "text = '42'" in text


def test_programs_are_nobody_and_see_no_other_desktop(make: Any) -> None:
    one, _ = make("train-shell_count-000")
    other, _ = make("train-shell_count-001")
    one.step(
        'type("(id -u; ls /home /tmp/.X11-unix /work /root; ls /proc | grep -c ^[0-9]) > told.txt 2>&1\\n")'
    )
    home = one._desktop.home  # pyright: ignore[reportPrivateUsage]
    file = home / "told.txt"
    assert eventually(lambda: file.exists() and bool(re.search(r"\n\d+\n$", file.read_text())))
    told = file.read_text()
    assert told.startswith("1000\n")
    assert len(re.findall(r"^X\d+$", told, re.MULTILINE)) == 1
    assert told.count("No such file") == 2
    assert (home / "told.txt").stat().st_uid != 0 or os.geteuid() == 0
    if os.geteuid() == 0:
        assert (home / "told.txt").stat().st_uid >= 300_000
    assert not (other._desktop.home / "told.txt").exists()  # pyright: ignore[reportPrivateUsage]


def test_nothing_is_left_whatever_happens(make: Any) -> None:
    env, _ = make("train-shell_count-000")
    box = env._desktop._box  # pyright: ignore[reportPrivateUsage]
    user = box.home.stat().st_uid
    env.step('type("sleep 1000 & sleep 1000\\n")')
    assert eventually(lambda: _processes(user) > 5)
    os.kill(box._server.pid, signal.SIGKILL)
    with pytest.raises(EnvironmentFault, match="reset to begin anew"):
        env.step('key("enter")')
    env.reset(options={"task": "train-shell_count-001"})
    assert not box.home.parent.exists()
    if os.geteuid() == 0:  # the user was this desktop's own
        assert eventually(lambda: _processes(user) == 0)
    after = env._desktop._box  # pyright: ignore[reportPrivateUsage]
    env.close()
    assert not after.home.parent.exists()
    with pytest.raises(StepError, match="call reset"):
        env.step("done()")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"apt-get install .*gnumeric .*openbox .*xvfb"):
        SPEC.make(Split.TRAIN)


def test_the_readme_tells_the_truth() -> None:
    from tests.environments.desktop.episode_picture import PICTURE, TASK, play

    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    (transcript,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    actions, texts, _, rewards = play()
    told = [texts[0], *(f"> {action}\n{text}" for action, text in zip(actions, texts[1:], strict=True))]
    assert transcript == "\n".join(told) + "\n"
    assert rewards[-1] == 1.0
    assert f"`{TASK}`" in README
    assert PICTURE.stat().st_size < 150_000
