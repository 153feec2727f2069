"""However rollouts end, they leave no thread, process or open file behind, and every world is closed."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from agentgym.agents.scripted import OracleAgent
from agentgym.core.env import Stepping
from agentgym.core.trace import Episode, Outcome
from agentgym.rollout.collect import collect, plan_groups
from agentgym.rollout.monitor import Monitor
from agentgym.rollout.rules import Limits, Rules
from tests.held import held
from tests.rollout.test_faults import whole
from tests.rollout.worlds import EVERYWHERE, Counting, task
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("stepping", Stepping)
def test_nothing_is_left_of_many_episodes_with_faults(stepping: Stepping) -> None:
    faults = EVERYWHERE if stepping is not Stepping.PROCESS else [*EVERYWHERE, "dies", "unpicklable"]
    rng = random.Random(0)
    chosen = [rng.choice(faults) if rng.random() < 0.15 else "fine" for _ in range(200)]
    monitor = Monitor()
    rules = Rules(stepping=stepping, limits=Limits(step_s=30.0), retry_share=1.0)
    playing = partial(
        collect,
        plan_groups([task(fault) for fault in chosen], 1, label="l", seed=0),
        OracleAgent(),
        Counting,
        concurrency=20,
        max_turns=9,
        rules=rules,
        monitor=monitor,
    )
    before = held()
    episodes = asyncio.run(playing())
    assert held() - before == set()
    assert [whole(episode) for episode in episodes] == [fault == "fine" for fault in chosen]
    failed = [episode for episode in episodes if not whole(episode)]
    assert {episode.score for episode in failed} == {None}
    assert len(monitor.failures) == len(failed)


@pytest.mark.parametrize("stepping", Stepping)
def test_a_cancelled_rollout_closes_everything(stepping: Stepping, tmp_path: Path) -> None:
    journal, never = tmp_path / "journal", tmp_path / "never"
    told: list[Episode] = []

    async def play_and_stop() -> None:
        enough = asyncio.Event()

        def keep(episode: Episode) -> None:
            told.append(episode)
            if len(told) == 4:
                enough.set()

        waiting = [] if stepping is Stepping.INLINE else [task("fine", latency_s=0.5, awaits=str(never))] * 2
        plans = plan_groups([*waiting, *[task("fine")] * 500], 1, label="l", seed=0)
        playing = asyncio.create_task(
            collect(
                plans,
                OracleAgent(),
                partial(Counting, journal),
                concurrency=4,
                max_turns=9,
                on_episode=keep,
                rules=Rules(stepping=stepping, limits=Limits(step_s=30.0)),
            )
        )
        if stepping is Stepping.INLINE:  # nothing else runs while it plays
            asyncio.get_running_loop().call_soon(playing.cancel)
        else:
            await enough.wait()
        never.touch()
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing

    before = held()
    asyncio.run(play_and_stop())
    assert held() - before == set()
    assert len(told) < 500
    assert all(whole(episode) for episode in told)
    if stepping is Stepping.THREAD:
        assert journal.read_text().splitlines().count("close") == 4


SCRIPT = """
import asyncio, sys
from functools import partial
from pathlib import Path
from agentgym.agents.scripted import OracleAgent
from agentgym.rollout.collect import collect, plan_groups
from agentgym.rollout.rules import Rules
from tests.rollout.worlds import Counting, task

plans = plan_groups([task("fine", awaits="never")] * 3, 1, label="l", seed=0)
asyncio.run(
    collect(
        plans, OracleAgent(), partial(Counting, Path(sys.argv[1])), concurrency=3, max_turns=9,
        rules=Rules(stepping=sys.argv[2]),
    )
)
"""


@pytest.mark.parametrize("stepping", [Stepping.THREAD, Stepping.PROCESS])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_takes_its_workers_along(
    how: signal.Signals, stepping: Stepping, tmp_path: Path
) -> None:
    """Worlds that hang for ever do not keep an interrupted or killed run, or their own processes, alive."""
    journal = tmp_path / "journal"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(journal), stepping.value], cwd=ROOT, stderr=subprocess.PIPE
    )
    assert eventually(lambda: journal.exists() and journal.read_text().count("reset") == 3)
    workers = [int(line.split()[-1]) for line in journal.read_text().splitlines()]
    process.send_signal(how)
    assert process.stderr is not None
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode != 0
    assert ("KeyboardInterrupt" in said) == (how is signal.SIGINT)
    assert eventually(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_episodes_that_end_by_their_time_free_the_agent() -> None:
    closed: list[str] = []

    class Waiting(OracleAgent):
        def start(self, start: object) -> object:  # type: ignore[override]
            return _Forever(closed)

    class _Forever:
        def __init__(self, closed: list[str]) -> None:
            self.closed = closed

        async def act(self, observation: object, info: object) -> object:
            return await asyncio.get_running_loop().create_future()

        def close(self) -> None:
            self.closed.append("closed")

    async def play_and_stop() -> None:
        plans = plan_groups([task("fine")] * 3, 1, label="l", seed=0)
        playing = asyncio.create_task(
            collect(plans, Waiting(), Counting, concurrency=3, max_turns=9)  # type: ignore[arg-type]
        )
        await asyncio.sleep(0.1)
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
        rules = Rules(limits=Limits(policy_s=0.1), retries=0)
        episodes = await collect(plans, Waiting(), Counting, concurrency=3, max_turns=9, rules=rules)  # type: ignore[arg-type]
        assert {episode.outcome for episode in episodes} == {Outcome.INFERENCE_ERROR}

    asyncio.run(play_and_stop())
    assert len(closed) == 6
