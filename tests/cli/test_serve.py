"""`agentgym serve`, as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import agentgym
from agentgym.cli.serve import serve
from agentgym.core.errors import EnvironmentFault
from tests.cli.driver import Cli
from tests.cli.test_help import example

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-my-own"


def start(*more: str) -> subprocess.Popen[str]:
    """Start what the help's example says, and more."""
    return subprocess.Popen(
        [sys.executable, "-m", "agentgym.cli", *example(serve.__doc__ or ""), *more],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def told(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Read its URL and its token."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert all(lines), process.communicate()
    found = re.fullmatch(r"Serving agentgym/Household-v0 at ws://(127\.0\.0\.1:\d+)\n", lines[0])
    assert found, lines
    return found[1], lines[1].split(maxsplit=1)[1].strip()


def test_its_example_serves_and_what_it_serves_is_played_until_it_dies() -> None:
    process = start("-o", "max_steps=30")
    place, token = told(process)
    env = agentgym.make(f"ws://:{token}@{place}", split="heldout")
    assert "Your task is to" in env.reset(seed=0)[0]
    process.kill()
    process.wait()
    with pytest.raises(EnvironmentFault, match="ended the session"):
        env.step("look")
    with pytest.raises(EnvironmentFault, match=r"has ended; reset\(\) begins another"):
        env.step("look")
    with pytest.raises(EnvironmentFault, match="No environment server answers"):
        env.reset(seed=0)
    env.close()
    process.communicate()


def test_other_commands_take_its_url(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    process = start("--token", TOKEN)
    place, shown = told(process)
    assert shown == "the given one"
    refused = cli("eval", f"ws://{place}", "--policy", "oracle")
    assert (refused.code, "It wants its token" in " ".join(refused.err.split())) == (2, True)
    monkeypatch.setenv("AGENTGYM_TOKEN", TOKEN)
    done = cli("eval", f"http://{place}", "--policy", "oracle", "--episodes", "2", "--out", "found.json")
    assert (done.code, done.err) == (0, "")
    assert "oracle on agentgym/Household-v0" in done.out
    assert TOKEN not in (tmp_path / "found.json").read_text()
    assert "keeps the contract" in cli("check", f"ws://{place}", "--only", "contract.tasks").out
    assert "You left after 1 turn." in cli("play", f"ws://{place}", typed="1\nquit\n").out
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert output.endswith("Stopped.\n")
    assert TOKEN not in output


def test_bad_input(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        wrong = {
            ("serve", "houshold"): r"Unknown environment 'houshold'\. Did you mean 'household'\?",
            ("serve", "household", "--port", port): rf"Cannot listen on 127\.0\.0\.1, port {port}: .*in use",
            ("serve", "household", "-o", "max_step=1"): r"no option 'max_step'\. Did you mean 'max_steps'",
            ("serve", "household", "--split", "trian"): r"Did you mean 'train'",
            ("serve", "household", "--token", "two words"): r"A token is printable ASCII",
            ("serve", "alfworld"): r"ALFWORLD_DATA",
            ("serve", "household", "--cpus", "1"): r"those of a container: add --container",
            ("serve", "household", "--container", "--allow", "http://x"): r"'http://x' is no host",
            ("check", "ws://127.0.0.1:1"): r"No environment server answers at ws://127\.0\.0\.1:1",
            ("check", "ftp://:secret@127.0.0.1"): r"'ftp://127\.0\.0\.1' is no URL of an environment server",
            ("check", "ws://"): r"is no URL of an environment server",
        }
        for words, message in wrong.items():
            done = cli(*words)
            assert (done.code, done.out) == (2, ""), words
            assert done.err.startswith("Error: ")
            assert re.search(message, " ".join(done.err.split())), done.err


@pytest.mark.usefixtures("docker_daemon")
def test_a_container_wants_a_free_port_and_a_daemon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [sys.executable, "-m", "agentgym.cli", "serve", "household", "--container", "--port"]
        for port, host, told in (
            (taken.getsockname()[1], None, "Cannot listen on 127.0.0.1"),
            (0, "unix:///nowhere/docker.sock", "No Docker daemon: there is no /nowhere/docker.sock"),
        ):
            environment = {**os.environ, **({"DOCKER_HOST": host} if host else {})}
            done = subprocess.run(
                [*words, str(port)], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
            )
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith(f"Error: {told}"), done.stderr
