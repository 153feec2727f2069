"""What the READMEs of worlds show, tried for real."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import agentgym
from agentgym.core.env import Action


def readme_of(world: ModuleType) -> str:
    """Return the README beside a world's package."""
    assert world.__file__ is not None
    return Path(world.__file__).with_name("README.md").read_text("utf-8")


def blocks(readme: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL)


def assert_code_runs(readme: str) -> None:
    """Run the README's one piece of Python."""
    (code,) = blocks(readme, "python")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def assert_transcript_happens(name: str, readme: str, read: Callable[[str], Action] = str) -> None:
    """Play the README's one episode, whose last action solves the task; `read` makes an action of what is shown."""
    (transcript,) = blocks(readme, "text")
    opening, *turns = transcript.rstrip("\n").split("\n> ")
    (task_id,) = re.findall(r"Task `([\w-]+)`", readme)
    env = agentgym.make(name, split=task_id.partition("-")[0])
    assert env.reset(options={"task": task_id})[0] == opening
    ends: list[tuple[float, bool, bool]] = []
    for turn in turns:
        action, shown = turn.split("\n", 1)
        observation, reward, terminated, truncated, _ = env.step(read(action))
        assert observation == shown
        ends.append((float(reward), terminated, truncated))
    assert ends[-2:] == [(0.0, False, False), (1.0, True, False)]
    env.close()
