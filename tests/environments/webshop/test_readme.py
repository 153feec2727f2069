"""The README shows what really happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import agentgym
from agentgym.environments import webshop
from agentgym.environments.webshop.catalogue import PRODUCTS
from agentgym.environments.webshop.tasks import DIFFICULTIES
from agentgym.environments.webshop.vocabulary import CATEGORIES

README = Path(webshop.__file__).with_name("README.md").read_text("utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_code_runs() -> None:
    (code,) = _blocks("python")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_transcript_is_what_happens() -> None:
    (transcript,) = _blocks("text")
    opening, *turns = transcript.rstrip("\n").split("\n> ")
    (task_id,) = re.findall(r"Task `([\w-]+)`", README)
    env = agentgym.make("webshop", split=task_id.partition("-")[0])
    assert env.reset(options={"task": task_id})[0] == opening
    results = [(turn.split("\n", 1)[1], env.step(turn.split("\n", 1)[0])) for turn in turns]
    assert [shown for shown, _ in results] == [result[0] for _, result in results]
    assert [result[1:4] for _, result in results[-2:]] == [(0.0, False, False), (1.0, True, False)]


def test_the_figures_hold() -> None:
    assert f"{PRODUCTS:,} products of {len(CATEGORIES)} kinds" in README
    assert all(
        f"| `{difficulty}` | {asked.attributes} attribute" in README
        for difficulty, asked in DIFFICULTIES.items()
    )
