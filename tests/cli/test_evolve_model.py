"""`agentgym evolve` with a model behind a URL: it acts, it writes, and it is shown what it wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentgym.core.memory import ItemStatus
from agentgym.evolution.run import EvolutionRun
from tests.cli.driver import Cli
from tests.cli.test_endpoints import SECRET, first_choice
from tests.evolution.test_writing import SKILL, TOOL
from tests.policies.chat_api import ChatApi


def test_a_model_behind_a_url_acts_and_writes_and_is_shown_what_it_wrote(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(body: dict[str, Any]) -> str:
        asked = str(body["messages"][-1]["content"])
        written = {
            "skills": [{**SKILL, "description": "Your task is to: put, heat, cool, clean, look"}],
            "tools": [TOOL],
        }
        return json.dumps(written) if "Write down what would help" in asked else first_choice(body)

    monkeypatch.setenv("MY_KEY", SECRET)
    with ChatApi(answer) as api:
        api.key = SECRET
        words = [
            "--batches",
            "2",
            "--tasks",
            "2",
            "--rollouts",
            "2",
            "--max-turns",
            "12",
            "--gate-tasks",
            "1",
        ]
        words += ["--demonstrations", "2", "--model", api.url, "--api-key-env", "MY_KEY", "--name", "told"]
        done = cli("evolve", "household", "-o", "difficulty=easy", *words)
        assert (done.code, done.err) == (0, "")
        prompts = [str(body["messages"]) for body in api.chats]
    questions = [prompt for prompt in prompts if "Write down what would help" in prompt]
    assert questions, "the expert's episodes were asked about"
    assert "<memory>" not in "".join(questions)
    assert any("<memory>" in prompt and str(SKILL["body"]) in prompt for prompt in prompts)
    run = EvolutionRun.open("told")
    with run.library(run.settings(), create=False) as library:
        found = {entry.name: entry for entry in library.entries()}
        assert found.keys() == {"find-things", "add-up"}
        assert library.provenance(found["find-things"].version).author == "tiny"
        assert {entry.status for entry in found.values()} <= {ItemStatus.SHADOW, ItemStatus.RETIRED}
        assert "tests" in library.status_log(found["add-up"].version)[-1].reason, (
            "the tool was run in a sandbox"
        )
    assert not any(SECRET.encode() in path.read_bytes() for path in run.path.rglob("*") if path.is_file())
