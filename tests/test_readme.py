"""The README's commands and code, run as a reader would."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentgym.memory.store.store import MemoryStore
from agentgym.training.recipe import load_recipe
from agentgym.training.recipe_tables import shipped_recipes
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.test_trainer import TINY

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")

SHORT = [part for setting in TINY for part in ("--set", setting)]
"""Makes a training command take seconds."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = [line.partition("  #")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a quickstart run in it, a tiny one, and a memory."""
    folder = tmp_path_factory.mktemp("reader")
    run = Run.create(load_recipe("quickstart", TINY), folder / "runs", "quickstart")
    Trainer(run).train()
    MemoryStore(folder / "memory.db").close()
    return folder


def test_the_two_commands_are_the_makefiles_and_cis() -> None:
    assert commands()[:2] == ["make quickstart", "make test"]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"quickstart", "test"} <= set(targets)
    assert (ROOT / ".ci/run").read_text("utf-8").splitlines()[-1] == "make test"


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.strip().splitlines()[0])
def test_python_blocks_run(block: str, folder: Path) -> None:
    run_in(folder, [sys.executable, "-W", "error", "-c", block])


def test_the_loop_is_as_short_as_promised() -> None:
    (loop,) = [block for block in blocks("python") if "Learner" in block]
    body = [line for line in loop.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(body) <= 30


SERVED = "http://127.0.0.1:8000/v1"
"""Where the README's gateway is."""


@pytest.mark.parametrize(
    "command",
    [
        line
        for line in commands()
        if line.startswith("agentgym") and SERVED not in line and "gateway" not in line
    ],
)
def test_agentgym_commands_run(command: str, folder: Path) -> None:
    words = shlex.split(command, comments=True)[1:]
    if words[0] == "quickstart":
        words = ["quickstart", "--name", "another", *SHORT]
    elif words[0] == "train" and "--resume" not in words:
        words += ["--name", "third", "--no-check", *SHORT]
    elif words[0] == "bench":
        words += ["--seeds", "0", *SHORT, "--set", "iterations=1", "evaluation.select_tasks=2"]
    done = run_in(folder, [sys.executable, "-m", "agentgym.cli", *words])
    assert done.stdout


def test_a_policy_is_served_and_played_through_its_url(folder: Path) -> None:
    (serve,) = [line for line in commands() if line.startswith("agentgym gateway")]
    (play,) = [line for line in commands() if SERVED in line]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "AGENTGYM_TOKEN": "secret"}
    words = serve.replace("--port 8000", "--port 0").split()[1:]
    command = [sys.executable, "-m", "agentgym.cli", *words]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = next(
                filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in server.stdout))
            )
            words = play.replace(SERVED, f"{found[0]}/v1").split()[1:]
            done = run_in(folder, [sys.executable, "-m", "agentgym.cli", *words], AGENTGYM_TOKEN="secret")
        finally:
            server.send_signal(signal.SIGINT)
            server.stdout.read() if server.stdout is not None else None
    assert "unseen" in done.stdout
    assert server.returncode in (0, 130)


def test_every_shipped_recipe_is_named() -> None:
    named = set(re.findall(r"`([a-z0-9_]+)`", README))
    assert set(shipped_recipes()) - {"quickstart"} <= named


def run_in(folder: Path, command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with an empty standard input; its failure is the test's."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(targets) > 8
    for target in targets:
        assert (ROOT / target).exists(), target
