"""Weights & Biases, the real package, has a run's curves while it trains; it cannot stop the training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Generator
from pathlib import Path

import pytest

from agentgym.core.errors import ConfigError
from agentgym.evaluation.history import run_history, run_summary
from agentgym.store.store import Store
from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.test_trainer import TINY
from tests.training.wandb_server import KEY, SentRun, WandbServer, wandb_server
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
PEERS = Path(sysconfig.get_path("purelib", vars={"base": str(ROOT / ".venv-peers")}))
SETTINGS = [
    *TINY,
    "warm_start.demonstrations=5",
    "rollout.tasks=2",
    "rollout.group_size=2",
    "evaluation.heldout_tasks=2",
    "tracking.wandb=true",
]


@pytest.fixture
def server() -> Generator[WandbServer]:
    with wandb_server() as server:
        yield server


def new_run(folder: Path, *settings: str) -> Run:
    return Run.create(load_recipe("quickstart", [*SETTINGS, *settings]), folder, "reference")


def start(run: Run, **variables: str) -> subprocess.Popen[str]:
    """Train in a process of its own, as `agentgym train --resume` does."""
    return subprocess.Popen(
        [sys.executable, ROOT / "tests/training/with_wandb.py", PEERS, "train", "--resume", run.path],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(run.path.parent),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "WANDB_BASE_URL": "http://127.0.0.1:9",
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train_until_killed(run: Run, **variables: str) -> None:
    """Train, and kill it after the second iteration or so."""
    with start(run, **variables) as process:
        try:
            assert eventually(lambda: len(run.lines()) >= 2 or process.poll() is not None, 240)
        finally:
            process.send_signal(signal.SIGKILL)
    assert 2 <= len(run.lines()) < 5


def finish(process: subprocess.Popen[str]) -> str:
    with process:
        said, _ = process.communicate()
    assert process.returncode == 0, said
    return " ".join(said.split())


def has_what_the_export_has(sent: SentRun, run: Run) -> None:
    with Store(run.store) as store:
        history, summary = run_history(store, run.name), run_summary(store, run.name)
        config = json.loads(store.run(run.name).config_json)
    for name in history[0]:
        assert sent.curve(name) == {iteration: figures[name] for iteration, figures in history.items()}
    assert summary.items() <= sent.summary.items()
    assert sent.config["optimiser"]["value"] == config["optimiser"]
    assert (sent.name, sent.exit_code) == (run.name, 0)


def test_a_killed_run_is_one_run_there(tmp_path: Path, server: WandbServer) -> None:
    """Without a key it is kept until somebody sends it; with one it goes on where that ended."""
    run = new_run(tmp_path)
    train_until_killed(run)
    assert "wandb sync" in finish(start(run))
    (folder,) = run.wandb.glob("offline-run-*")
    live = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
    subprocess.run(
        [PEERS.parents[2] / "bin/wandb", "sync", folder],
        check=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **live},
        capture_output=True,
    )
    (sent,) = server.runs.values()
    has_what_the_export_has(sent, run)

    assert "wandb sync" not in finish(start(run, **live))
    assert list(server.runs) == [(run.wandb / "id").read_text("utf-8")]
    has_what_the_export_has(sent, run)
    kept = b"".join(path.read_bytes() for path in run.path.rglob("*") if path.is_file())
    assert KEY.encode() not in kept

    assert "wandb sync" in finish(start(run))
    assert (run.wandb / "id").read_text("utf-8") not in server.runs


def test_training_goes_on_without_it(tmp_path: Path, server: WandbServer) -> None:
    run = new_run(tmp_path, "iterations=1", "evaluation.heldout_tasks=0")
    server.refusing = True
    said = finish(start(run, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY))
    assert said.count("Weights & Biases failed") == 1
    assert f"agentgym export {run.path} --format wandb" in said
    assert "Traceback" not in said
    assert KEY not in said
    assert len(run.lines()) == 1


def test_it_is_missed_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path)
    (tmp_path / "wandb/logs").mkdir(parents=True)  # as `wandb sync` leaves it where it is called
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"pip install 'agentgym-harness\[wandb\]'"):
        Trainer(run).train()
    assert not run.store.exists()
