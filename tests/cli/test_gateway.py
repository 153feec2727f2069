"""`agentgym gateway`, as a process of its own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from agentgym.cli.gateway import gateway
from agentgym.core.trace import Outcome
from agentgym.store.store import Store
from agentgym.training.run import Run
from tests.cli.driver import Cli
from tests.cli.test_help import example

TOKEN = "a-token-of-my-own"


def start(run: Run, out: Path, *more: str) -> subprocess.Popen[str]:
    """Start what the help's example says, with the run where the test has it."""
    words = [str(run.path) if word == "runs/reference" else word for word in example(gateway.__doc__ or "")]
    return subprocess.Popen(
        [sys.executable, "-m", "agentgym.cli", *words, "--out", str(out), *more],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> dict[str, str]:
    """Read what it says at its start, by the first word."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    assert all(lines), process.communicate()
    return {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in lines}


def test_its_example_serves_an_agent_and_keeps_the_episode(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "kept.sqlite"
    process = start(run, out)
    said = told(process)
    assert re.fullmatch(r"reference at http://127\.0\.0\.1:\d+", said["Serving"])
    base, key = said["OPENAI_BASE_URL"].replace("ID", "mine"), said["Key"]
    with openai.OpenAI(base_url=base, api_key=key, max_retries=0) as api:
        answer = api.chat.completions.create(
            model="reference", messages=[{"role": "user", "content": "go"}], max_tokens=4
        )
        with pytest.raises(openai.NotFoundError, match="Did you mean 'reference'"):
            api.chat.completions.create(model="refrence", messages=[{"role": "user", "content": "go"}])
        api.with_options(base_url=base.removesuffix("/v1")).post(
            "/reward", body={"reward": 0.5}, cast_to=object
        )
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert process.returncode == 0
    assert f"Stopped. 1 episodes in {out}" in output
    (line,) = errors.splitlines()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d 404 POST /rollout/mine/attempt/1/v1/chat/completions: Unknown model .*", line
    )
    assert key not in errors
    with Store(out, create=False) as store:
        (row,) = store.runs()
        (episode,) = store.episodes(row.id)
    assert (row.kind, row.config_json.count(key)) == ("gateway", 0)
    assert (episode.outcome, episode.score, episode.group_id) == (Outcome.SUCCESS, 0.5, "mine")
    (turn,) = episode.turns
    assert turn.action == answer.choices[0].message.content
    assert turn.policy_version == 5


def test_a_given_token_is_not_shown_and_nothing_is_written_for_nothing(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "kept.sqlite"
    process = start(run, out, "--token", TOKEN, "--name", "mine")
    said = told(process)
    assert (said["Serving"].split()[0], said["Key"]) == ("mine", "the given token")
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert TOKEN not in output
    assert not out.exists()


def test_bad_input(run: Run, cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        wrong = {
            ("--policy", "refrence"): r"Unknown run 'refrence'\. Did you mean 'reference'\?",
            (
                "--policy",
                "reference",
                "--port",
                port,
            ): rf"Cannot listen on 127\.0\.0\.1, port {port}: .*in use",
            ("--policy", "reference", "--port", "70000"): r"There is no port 70000\.",
            ("--policy", "reference", "--host", "nowhere.invalid"): r"Cannot listen on nowhere\.invalid",
            ("--policy", "reference", "--token", "two words"): r"A token is printable ASCII",
            ("--policy", "reference", "--out", "runs"): r"runs is a folder; give the name of a file",
            ("--policy", "http://127.0.0.1:9/v1"): r"127\.0\.0\.1:9",
        }
        for words, message in wrong.items():
            done = cli("gateway", *words)
            assert (done.code, done.out) == (2, ""), words
            assert done.err.startswith("Error: ")
            assert re.search(message, " ".join(done.err.split())), done.err
