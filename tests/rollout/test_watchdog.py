"""Where nothing goes on, the culprit is named in one line and the stacks are in a file."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agentgym.agents.scripted import OracleAgent
from agentgym.core.env import Stepping
from agentgym.core.trace import Episode, Outcome
from agentgym.rollout.collect import collect, plan_groups
from agentgym.rollout.monitor import Monitor
from agentgym.rollout.rules import Limits, Rules
from tests.rollout.test_faults import Slow, whole
from tests.rollout.worlds import Counting, task

STALL_S = 0.5
LIMITS = Limits(reset_s=60.0, step_s=4.0, policy_s=4.0)


def watched(
    folder: Path, fault: str, stepping: Stepping, *, agent: Any = None, on_episode: Any = None
) -> tuple[list[Episode], list[str]]:
    """Play two episodes, of which the first goes wrong, and return what the operator was told."""
    told: list[str] = []
    monitor = Monitor(say=told.append, dump_folder=folder)
    rules = Rules(stepping=stepping, limits=LIMITS, retries=0, stall_s=STALL_S)
    playing = collect(
        plan_groups([task(fault), task("fine")], 1, label="l", seed=0),
        agent or OracleAgent(),
        Counting,
        concurrency=2,
        max_turns=9,
        on_episode=on_episode,
        rules=rules,
        monitor=monitor,
    )
    return asyncio.run(playing), told


@pytest.mark.parametrize("stepping", [Stepping.THREAD, Stepping.PROCESS])
def test_an_environment_that_hangs_is_named_and_ended(stepping: Stepping, tmp_path: Path) -> None:
    (hung, other), told = watched(tmp_path, "hangs", stepping)
    where = "the environment has been in `step` of episode l/0000/00, turn 3, for"
    *_, line = [
        line for line in told if where in line
    ]  # a process begins in more than no time, which is told too
    path = tmp_path / f"stall-{told.index(line) + 1:03d}.txt"
    assert str(path) in line
    assert (hung.outcome, whole(other)) == (Outcome.ENV_ERROR, True)
    dump = path.read_text()
    assert dump.startswith(line[:40])
    assert "episode.py" in dump.partition("Tasks of the event loop")[2]
    if stepping is Stepping.THREAD:
        assert "worlds.py" in dump  # the very line that hangs


def test_an_environment_that_blocks_the_loop_is_named(tmp_path: Path) -> None:
    (hung, other), told = watched(tmp_path, "hangs", Stepping.INLINE)
    (line,) = told
    assert "the environment has been in `step` of episode l/0000/00, turn 3" in line
    assert "worlds.py" in line
    assert "rollout.stepping" in line
    assert whole(other)
    assert hung.outcome is Outcome.SUCCESS  # late is not wrong where nothing could end it


def test_a_policy_that_hangs_is_named(tmp_path: Path) -> None:
    episodes, (line,) = watched(tmp_path, "fine", Stepping.INLINE, agent=Slow(60.0))
    assert "the policy has been in `act` of episode l/0000/00, turn 3, for" in line
    assert "Besides, others wait: 1 for the policy." in line
    assert [episode.outcome for episode in episodes] == [Outcome.INFERENCE_ERROR] * 2


def test_a_policy_that_blocks_the_loop_is_named(tmp_path: Path) -> None:
    class Computing(OracleAgent):
        def start(self, start: Any) -> Any:
            time.sleep(6 * STALL_S if start.session_id == "l/0000/00" else 0)
            return super().start(start)

    episodes, (line,) = watched(tmp_path, "fine", Stepping.INLINE, agent=Computing())
    assert "the event loop is blocked" in line
    assert "test_watchdog.py" in line
    assert all(whole(episode) for episode in episodes)


def test_a_store_that_hangs_is_named(tmp_path: Path) -> None:
    def keep(episode: Episode) -> None:
        if episode.id == "l/0001/00":
            time.sleep(6 * STALL_S)

    _, (line,) = watched(tmp_path, "fine", Stepping.INLINE, on_episode=keep)
    assert "the store has been in `on_episode` of episode l/0001/00" in line


def test_who_goes_on_is_left_in_peace(tmp_path: Path) -> None:
    _, told = watched(tmp_path, "raises", Stepping.THREAD)
    assert told == []
    assert list(tmp_path.iterdir()) == []


STANDING_STILL = """
import os, signal, sys, time
from pathlib import Path
from agentgym.core.env import Stepping
from tests.rollout import test_watchdog
from tests.rollout.worlds import Counting

class StandsStill(Counting):
    def step(self, action):
        if self._turn == 2 and self.task.id == "fine":
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.4)
        return super().step(action)

test_watchdog.Counting, test_watchdog.STALL_S = StandsStill, 1.0
_, told = test_watchdog.watched(Path(sys.argv[1]), "fine", Stepping.THREAD)
sys.exit("\\n".join(told) or 0)
"""


def test_a_process_that_stood_still_accuses_nobody(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STANDING_STILL, str(tmp_path)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True)
    for _ in range(2):  # in each of the episodes
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
    assert process.communicate()[1] == ""
