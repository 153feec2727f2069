"""The world's README shows what really happens."""

from __future__ import annotations

import json

import agentgym
from agentgym.core.task import Split
from agentgym.core.tool import ToolCall
from agentgym.environments import backoffice
from agentgym.environments.backoffice.domains import DOMAINS
from agentgym.environments.backoffice.tasks import Difficulty
from tests.environments.readmes import assert_code_runs, assert_transcript_happens, readme_of

README = readme_of(backoffice)


def test_the_code_runs() -> None:
    assert_code_runs(README)


def _call(written: str) -> ToolCall:
    name, arguments = written.removesuffix(")").split("(", 1)
    return ToolCall(name, json.loads(arguments))


def test_the_transcript_is_what_happens() -> None:
    assert_transcript_happens("backoffice", README, _call)


def test_the_figures_hold() -> None:
    for split in Split:
        counts = [len(agentgym.suite("backoffice", difficulty=each).tasks(split)) for each in Difficulty]
        assert f"| `{split.value}` | {' | '.join(f'{count:,}' for count in counts)} |" in README
    tools = [len(domain.tools) + 1 for domain in DOMAINS.values()]
    assert f"{min(tools)} or {max(tools)} tools" in README
    easy = [len(domain.easy_tools) + 1 for domain in DOMAINS.values()]
    assert f"{min(easy)} to {max(easy)} |" in README
