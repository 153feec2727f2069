"""The world's README shows what really happens."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import agentgym
from agentgym.core.task import Split
from agentgym.core.tool import ToolCall
from agentgym.environments import backoffice
from agentgym.environments.backoffice.domains import DOMAINS
from agentgym.environments.backoffice.tasks import Difficulty

README = Path(backoffice.__file__).with_name("README.md").read_text("utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_code_runs() -> None:
    (code,) = _blocks("python")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_transcript_is_what_happens() -> None:
    (transcript,) = _blocks("text")
    opening, *turns = transcript.rstrip("\n").split("\n> ")
    (task_id,) = re.findall(r"Task `([\w-]+)`", README)
    env = agentgym.make("backoffice", split=task_id.partition("-")[0])
    assert env.reset(options={"task": task_id})[0] == opening
    results: list[tuple[float, bool, bool]] = []
    for turn in turns:
        written, shown = turn.split("\n", 1)
        name, arguments = written.removesuffix(")").split("(", 1)
        observation, reward, terminated, truncated, _ = env.step(ToolCall(name, json.loads(arguments)))
        assert observation == shown
        results.append((float(reward), terminated, truncated))
    assert results[-2:] == [(0.0, False, False), (1.0, True, False)]


def test_the_figures_hold() -> None:
    for split in Split:
        counts = [len(agentgym.suite("backoffice", difficulty=each).tasks(split)) for each in Difficulty]
        assert f"| `{split.value}` | {' | '.join(f'{count:,}' for count in counts)} |" in README
    tools = [len(domain.tools) + 1 for domain in DOMAINS.values()]
    assert f"{min(tools)} or {max(tools)} tools" in README
    easy = [len(domain.easy_tools) + 1 for domain in DOMAINS.values()]
    assert f"{min(easy)} to {max(easy)} |" in README
