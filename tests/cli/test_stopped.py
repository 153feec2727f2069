"""A run that is stopped by Ctrl-C or by a full disk: what it says, what is safe, and that it goes on."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentgym.store.store import Store
from agentgym.store.tables import RunStatus
from agentgym.training.run import Run
from tests.cli.driver import Cli
from tests.halting import end_at_its_moment, start


def training(folder: Path, options: list[str]) -> list[str]:
    """The command that begins a run called `stopped`."""
    return ["train", "quickstart", "--no-check", "--runs", str(folder), "--name", "stopped", *options]


def metrics(run: Run) -> str:
    return (run.path / "metrics.jsonl").read_text("utf-8")


def status(run: Run) -> RunStatus:
    with Store(run.store) as store:
        return RunStatus(store.run("stopped").status)


def resume_as_told(error: str, cli: Cli) -> None:
    """Call the command that a message ends with."""
    command = re.search(r"^  agentgym (train --resume \S+)\n", error, re.MULTILINE)
    assert command is not None, error
    assert cli(*command[1].split()).code == 0


@pytest.mark.parametrize(
    "moment", ["demonstrations: 0/", "   2  "], ids=["before training", "in mid-training"]
)
def test_ctrl_c(moment: str, reference: Run, tiny: list[str], cli: Cli, tmp_path: Path) -> None:
    run = Run(tmp_path / "stopped")
    process = start(training(tmp_path, tiny), moment=moment)
    error = end_at_its_moment(process, signal.SIGINT)
    assert process.returncode == 130
    assert "Interrupted. Finished iterations are safe; go on with:" in error
    assert "Traceback" not in error
    assert len(run.lines()) < 5
    assert status(run) is RunStatus.INTERRUPTED
    resume_as_told(error, cli)
    assert metrics(run) == metrics(reference)
    assert status(run) is RunStatus.FINISHED


class Scarcity:
    """A folder with little room: a small disk of its own, or where only few may mount one, small files."""

    def __init__(self, folder: Path, *, disk: int, largest_file: int) -> None:
        folder.mkdir()
        self.folder, self.largest_file = folder, largest_file
        self.mounted = disk > 0 and self._mount(f"size={disk},mode=700")
        if self.mounted:
            self.largest_file = 0

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False

    def relieve(self) -> None:
        """Make room."""
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,size=100m", str(self.folder)], check=True)

    def close(self) -> None:
        """Give the disk back."""
        if self.mounted:
            subprocess.run(["umount", str(self.folder)], check=True)


@pytest.fixture(params=["full disk", "largest file"])
def scarcity(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scarcity]:
    """Room for one to four of the five iterations: each adds some 0.5 MB to the store's log."""
    disk = 2_700_000 if request.param == "full disk" else 0
    scarcity = Scarcity(tmp_path / "small", disk=disk, largest_file=1_400_000)
    yield scarcity
    scarcity.close()


def test_no_room_in_mid_run(scarcity: Scarcity, reference: Run, tiny: list[str], cli: Cli) -> None:
    run = Run(scarcity.folder / "stopped")
    process = start(training(scarcity.folder, tiny), largest_file=scarcity.largest_file)
    _, error = process.communicate()
    assert process.returncode == 1
    assert "space" in error
    assert "Finished iterations are safe." in error
    assert error.count("agentgym train --resume") == 1
    assert "Traceback" not in error
    finished = [int(path.name) for path in run.checkpoints.iterdir() if path.name.isdecimal()]
    assert 1 <= max(finished) < 5
    assert metrics(reference).startswith("".join(metrics(run).splitlines(keepends=True)[: max(finished)]))
    scarcity.relieve()
    resume_as_told(error, cli)
    assert metrics(run) == metrics(reference)
    assert status(run) is RunStatus.FINISHED
    with Store(run.store) as store:
        assert len(list(store.episodes("stopped"))) == 5 * 12
