"""A run that is killed comes to the library of one that is not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentgym.core.errors import StoreFault, UsageError
from agentgym.core.memory import ItemStatus
from agentgym.evolution.figures import BatchFigures
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.tables import ExposureRow, OutcomeRow
from tests.evolution.growth import SMALL, Seen, carry_on, new_run
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[BatchFigures]:
    """The figures of a run that nothing stopped."""
    figures = carry_on(new_run(tmp_path_factory.mktemp("whole"), "backoffice", SMALL))
    assert all(figure["made"] for figure in figures)
    return figures


class _Killed(BaseException):
    pass


def test_killed_at_every_phase_and_amid_the_episodes_it_comes_to_the_same_library(
    whole: list[BatchFigures], tmp_path: Path
) -> None:
    """Stopped where each event is first seen, and gone on with from there, over and over."""
    run = new_run(tmp_path, "backoffice", SMALL)
    met: set[str] = set()

    def stop(event: str) -> None:
        amid = event.endswith(("/0003/01", "/0007/02"))
        if event not in met and ("/" not in event or amid):
            met.add(event)
            raise _Killed

    figures: list[BatchFigures] = []
    while len(figures) < SMALL["batches"]:
        try:
            figures = carry_on(run, Seen(stop))
        except BaseException as error:
            if not _is_kill(error):
                raise
    assert len(met) == 2 * (6 + 1 + 2), sorted(met)
    assert figures == whole
    with run.library(run.settings()) as library:
        log = EvidenceLog(library)
        assert len(log.rows(OutcomeRow)) == 2 * SMALL["tasks"] * SMALL["rollouts"], "each noted once"
        for entry in library.entries():
            told = [(change.status, change.reason) for change in library.status_log(entry.version)]
            assert len(told) == len(set(told)), "nothing was decided twice"


def _is_kill(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.split(_Killed)[1] is None  # pyright: ignore[reportUnknownMemberType]
    return isinstance(error, _Killed)


def test_killed_by_the_system_in_mid_run(whole: list[BatchFigures], tmp_path: Path) -> None:
    run = new_run(tmp_path, "backoffice", SMALL)
    script = (
        "import os, signal, sys\n"
        "from agentgym.evolution.run import EvolutionRun\n"
        "from tests.evolution.growth import Seen, carry_on\n"
        "at = lambda event: event == '1 gate' and os.kill(os.getpid(), signal.SIGKILL)\n"
        "carry_on(EvolutionRun.open(sys.argv[1]), Seen(at))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(run.path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert run.journal.read(1, "distil") is not None
    assert [figure["library"] for figure in carry_on(run)] == [figure["library"] for figure in whole]


def test_a_run_that_another_process_carries_out_is_left_alone(tmp_path: Path) -> None:
    run = new_run(tmp_path, "backoffice", {**SMALL, "batches": 1000})
    command = [sys.executable, "-m", "agentgym.cli", "evolve", "--resume", str(run.path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert eventually(lambda: run.journal.read(1, "act") is not None or process.poll() is not None)
        with pytest.raises(UsageError, match=f"{run.path} is in use by another process"):
            carry_on(run)
        process.kill()


def test_an_interrupt_stops_it_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    run = new_run(tmp_path, "backoffice", {**SMALL, "batches": 1000})
    command = [sys.executable, "-m", "agentgym.cli", "evolve", "--resume", str(run.path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert eventually(lambda: run.journal.read(1, "act") is not None or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 130
    assert "Interrupted" in told
    assert f"agentgym evolve --resume {run.path}" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("at", ["1 batch-000001/0004/01", "1 gate", "2 credit"])
def test_a_library_that_vanishes_is_told_and_nothing_is_lost(
    at: str, whole: list[BatchFigures], tmp_path: Path
) -> None:
    run = new_run(tmp_path, "backoffice", SMALL)
    away = tmp_path / "away"
    away.mkdir()

    def vanish(event: str) -> None:
        if event == at:
            for path in run.path.glob("memory.db*"):
                path.rename(away / path.name)

    with pytest.raises(StoreFault, match=r"memory.db.*vanished|vanished.*memory.db"):
        carry_on(run, Seen(vanish))
    for path in away.iterdir():
        path.rename(run.path / path.name)
    assert carry_on(run) == whole


def test_two_that_grow_one_library_lose_nothing(tmp_path: Path) -> None:
    shared = str(tmp_path / "shared.db")
    runs = [
        new_run(tmp_path, "backoffice", {**SMALL, "seed": seed, "library": shared}, name)
        for seed, name in enumerate(("one", "other"))
    ]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "agentgym.cli", "evolve", "--resume", str(run.path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for run in runs
    ]
    ended = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    with runs[0].library(runs[0].settings(), create=False) as library:
        entries = {entry.version: entry for entry in library.entries()}
        log = EvidenceLog(library)
        episodes = {row.episode_id for row in log.rows(OutcomeRow)}
        for run in runs:
            done = run.journal.done("snapshot")
            assert len(done) == SMALL["batches"]
            made = [version for figures in done for version in figures["made"]]
            assert made
            assert set(made) <= set(entries)
            assert all(entries[version].status is not ItemStatus.CANDIDATE for version in made)
            own = {name for name in episodes if name.startswith(f"{run.name}/")}
            assert len(own) == sum(figures["episodes"] for figures in done)
            for version in made:
                sources = {source.episode.partition("/")[0] for source in library.provenance(version).sources}
                assert run.name in sources
        assert {row.episode_id for row in log.rows(ExposureRow)} <= episodes
