"""What goes wrong in environments and policies has an owner and no score, and stays with the episode it is in."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agentgym.agents.scripted import OracleAgent
from agentgym.core.agent import AgentSession, Decision, EpisodeStart
from agentgym.core.env import Stepping
from agentgym.core.errors import InferenceFault, StoreFault, UsageError
from agentgym.core.task import Task
from agentgym.core.trace import Episode, Outcome, StopReason
from agentgym.rollout.collect import EpisodePlan, collect, plan_groups
from agentgym.rollout.monitor import Monitor
from agentgym.rollout.rules import Limits, Rules
from agentgym.store.store import Store
from agentgym.store.writer import EpisodeWriter
from tests.rollout.worlds import EVERYWHERE, TURNS, Counting, task

PATIENT = Limits(reset_s=60.0, step_s=60.0, policy_s=60.0, episode_s=600.0)
HASTY = replace(PATIENT, step_s=3.0)


def play(
    tasks: Sequence[Task],
    stepping: Stepping | None = None,
    *,
    agent: Any = None,
    concurrency: int = 3,
    journal: Path | None = None,
    rules: Rules | None = None,
    **more: Any,
) -> list[Episode]:
    """Play each task once, without retries unless the rules have some."""
    plans = plan_groups(tasks, 1, label="l", seed=0)
    given = rules or Rules(stepping=stepping, limits=PATIENT, retries=0)
    playing = collect(
        plans,
        agent or OracleAgent(),
        partial(Counting, journal),
        concurrency=concurrency,
        max_turns=9,
        rules=given,
        **more,
    )
    return asyncio.run(playing)


def essence(episode: Episode) -> Any:
    turns = [(turn.observation, turn.action, turn.reward, turn.state_key) for turn in episode.turns]
    return episode.id, episode.seed, episode.outcome, episode.score, turns, episode.final_observation


def whole(episode: Episode) -> bool:
    return (episode.outcome, episode.score, len(episode.turns)) == (Outcome.SUCCESS, 2.5, TURNS)


@pytest.mark.parametrize("stepping", Stepping)
def test_each_fault_of_a_world_stays_in_its_episode(stepping: Stepping) -> None:
    faults = EVERYWHERE if stepping is not Stepping.PROCESS else [*EVERYWHERE, "dies", "unpicklable"]
    tasks = [task(name) for fault in faults for name in (fault, "fine")]
    episodes = play(tasks, stepping)
    assert all(whole(episode) for episode in episodes[1::2])
    for fault, episode in zip(faults, episodes[::2], strict=True):
        owner = Outcome.SANDBOX_ERROR if fault == "no sandbox" else Outcome.ENV_ERROR
        assert (episode.outcome, episode.score, episode.stop_reason) == (owner, None, StopReason.ERROR), fault
        assert len(episode.turns) == 2, fault


WORDS = {
    "raises": "a bug in the world",
    "times out": "the world's own",
    "short tuple": "Counting.step must return (observation, reward, terminated, truncated, info), but gave",
    "nan": "a finite number as reward, but gave nan",
    "bytes": "text, or a dict with text, as observation, but gave b'text'",
    "surrogate": "text that encodes as UTF-8",
    "leaves": "SystemExit(7)",
    "dies": "ended in step, with exit status 3",
    "unpicklable": "cannot be pickled: TypeError('not this one')",
}


@pytest.mark.parametrize("fault", WORDS)
def test_an_error_says_what_was_wrong(fault: str) -> None:
    (episode,) = play([task(fault)], Stepping.PROCESS)
    assert WORDS[fault] in (episode.error or "").replace("\n", " ")


def test_the_traceback_of_another_process_comes_along() -> None:
    (episode,) = play([task("raises")], Stepping.PROCESS)
    assert "worlds.py" in (episode.error or "")
    assert (episode.error or "").startswith("Traceback")


def test_a_thread_that_hangs_is_left_behind_and_counted() -> None:
    monitor = Monitor()
    rules = Rules(stepping=Stepping.THREAD, limits=HASTY, retries=0)
    hung, *others = play(
        [task("hangs"), task("fine"), task("fine")], rules=rules, concurrency=1, monitor=monitor
    )
    assert (hung.outcome, hung.score, len(hung.turns)) == (Outcome.ENV_ERROR, None, 2)
    assert "step took longer than 3 s; its thread is left behind" in (hung.error or "")
    assert all(whole(episode) for episode in others)
    assert monitor.figures.lost == 1


def test_a_process_that_hangs_is_killed(tmp_path: Path) -> None:
    monitor, journal = Monitor(), tmp_path / "journal"
    rules = Rules(stepping=Stepping.PROCESS, limits=HASTY, retries=0)
    hung, other = play(
        [task("hangs"), task("fine")], rules=rules, concurrency=1, monitor=monitor, journal=journal
    )
    assert "step took longer than 3 s; its process was killed" in (hung.error or "")
    assert whole(other)
    assert monitor.figures.lost == 1
    first, second = [int(line.split()[-1]) for line in journal.read_text().splitlines() if "reset" in line]
    assert first != second
    assert not any(Path(f"/proc/{pid}").exists() for pid in (first, second))


@pytest.mark.parametrize("stepping", [Stepping.THREAD, Stepping.PROCESS])
def test_a_reset_that_hangs_is_ended_as_well(stepping: Stepping) -> None:
    limits = replace(PATIENT, reset_s=2.0)
    (episode,) = play([task("hangs", at="reset")], rules=Rules(stepping=stepping, limits=limits, retries=0))
    assert (episode.outcome, episode.turns) == (Outcome.ENV_ERROR, ())
    assert "reset took longer than 2 s" in (episode.error or "")


def test_worlds_outlive_the_process_that_they_began_in() -> None:
    lost, fine = play([task("orphaned"), task("fine")], Stepping.PROCESS, concurrency=1)
    assert (lost.outcome, lost.score) == (Outcome.ENV_ERROR, None)
    assert whole(fine)


def test_a_world_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    def broken() -> Counting:
        raise OSError("no display")

    plans = plan_groups([task("fine")], 1, label="l", seed=0)
    for stepping in Stepping:
        rules = Rules(stepping=stepping, retries=0)
        playing = collect(plans, OracleAgent(), broken, concurrency=1, max_turns=9, rules=rules)
        (episode,) = asyncio.run(playing)
        assert episode.outcome is Outcome.ENV_ERROR
        assert "no display" in (episode.error or "")


def test_what_does_not_pickle_cannot_be_made_elsewhere() -> None:
    with socket.socket() as held:
        plans = plan_groups([task("fine")], 1, label="l", seed=0)
        rules = Rules(stepping=Stepping.PROCESS)
        with pytest.raises(UsageError, match=r"agentgym\.registry\.factory"):
            asyncio.run(
                collect(plans, OracleAgent(), lambda: Counting(held), concurrency=1, max_turns=9, rules=rules)  # type: ignore[arg-type]
            )


class Slow(OracleAgent):
    """The oracle, which in its third decision takes as long as it is told to."""

    def __init__(self, pause_s: float) -> None:
        super().__init__()
        self._pause_s = pause_s

    def start(self, start: EpisodeStart) -> Any:
        return _SlowSession(super().start(start), self._pause_s)


class _SlowSession:
    def __init__(self, inner: AgentSession, pause_s: float) -> None:
        self.inner, self.pause_s, self.turn = inner, pause_s, 0

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        self.turn += 1
        if self.turn == 3:
            await asyncio.sleep(self.pause_s)
        return await self.inner.act(observation, info)

    def close(self) -> None:
        self.inner.close()


def test_a_policy_that_hangs_is_given_up() -> None:
    rules = Rules(limits=Limits(policy_s=0.1), retries=0)
    (episode,) = play([task("fine")], rules=rules, agent=Slow(60.0))
    assert (episode.outcome, episode.score, len(episode.turns)) == (Outcome.INFERENCE_ERROR, None, 2)
    assert "decision took longer than 0.1 s" in (episode.error or "")


def test_an_episode_has_a_time_of_its_own() -> None:
    rules = Rules(limits=Limits(episode_s=0.2), retries=0)
    (episode,) = play([task("fine", latency_s=0.15)], rules=rules)
    assert (episode.outcome, episode.stop_reason) == (Outcome.TRUNCATED, StopReason.TIME_LIMIT)
    assert episode.score is not None


def test_a_policy_that_hangs_past_the_episodes_time_is_no_failure_of_the_agent() -> None:
    rules = Rules(limits=Limits(episode_s=3.0, policy_s=3.2), retries=0)
    (episode,) = play([task("fine")], rules=rules, agent=Slow(60.0))
    assert (episode.outcome, episode.score, len(episode.turns)) == (Outcome.INFERENCE_ERROR, None, 2)


@pytest.mark.parametrize("stepping", Stepping)
def test_what_failed_once_is_played_again_with_the_same_seed(stepping: Stepping, tmp_path: Path) -> None:
    faults = ["raises", "nan", "no sandbox"]
    good = play([task("fine", fault) for fault in faults], stepping)
    told: list[Episode] = []
    monitor, journal = Monitor(), tmp_path / "journal"
    tasks = [task(fault, once=str(tmp_path / fault)) for fault in faults]
    rules = Rules(stepping=stepping, limits=PATIENT, retries=1, retry_share=1.0)
    episodes = play(tasks, rules=rules, monitor=monitor, on_episode=told.append, journal=journal)
    assert [essence(episode) for episode in episodes] == [essence(episode) for episode in good]
    assert sorted(episode.id for episode in told) == [episode.id for episode in episodes]
    failures = {(failure.episode_id, failure.attempt, failure.turns) for failure in monitor.failures}
    assert failures == {(episode.id, 0, 2) for episode in episodes}
    assert monitor.figures.retried == 3
    seeds = [line.split()[-2] for line in journal.read_text().splitlines() if "reset" in line]
    assert sorted(seeds) == sorted([str(episode.seed) for episode in episodes] * 2)


def test_retries_have_a_budget() -> None:
    monitor = Monitor()
    rules = Rules(retries=3, retry_share=0.2)
    episodes = play([task("raises")] * 10, rules=rules, monitor=monitor)
    assert [episode.outcome for episode in episodes] == [Outcome.ENV_ERROR] * 10
    assert len(monitor.failures) == 2
    play([task("raises")] * 2, rules=Rules(retries=0), monitor=monitor)
    assert len(monitor.failures) == 2
    play([task("raises")], rules=Rules(retries=2, retry_share=0.0), monitor=monitor)
    assert len(monitor.failures) == 3  # one at least


SERVER = """
import socket, sys
sys.stdin.readline()
with socket.create_server(("127.0.0.1", int(sys.argv[1])), reuse_port=False) as server:
    print("ready", flush=True)
    for _ in range(int(sys.argv[2])):
        with server.accept()[0] as client:
            client.sendall(client.recv(64))
    server.accept()[0].close()  # it dies with a request in its hands
"""


class Served:
    """An agent that fetches each action from a server in a process of its own."""

    name = "served"

    def __init__(self, port: int) -> None:
        self.port = port

    def start(self, start: EpisodeStart) -> AgentSession:
        return self

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(b"count")
                answer = await reader.readexactly(5)
            finally:
                writer.close()
        except (OSError, EOFError) as error:
            raise InferenceFault("The server is gone.") from error
        return Decision(answer.decode())

    def close(self) -> None: ...


def serve(port: int, answers: int) -> subprocess.Popen[bytes]:
    """Start a server that opens when it is told to: starting a program may take long."""
    words = [sys.executable, "-c", SERVER, str(port), str(answers)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def tell_to_open(server: subprocess.Popen[bytes]) -> None:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(b"\n")
    server.stdin.close()
    assert server.stdout.readline() == b"ready\n"
    server.stdout.close()


def test_a_policy_that_dies_and_returns_loses_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    monitor = Monitor()
    first, second = serve(port, answers=2 * TURNS + 1), serve(port, answers=10**6)
    tell_to_open(first)  # it dies in the third episode

    async def play_on() -> list[Episode]:
        plans = plan_groups([task("fine")] * 5, 1, label="l", seed=0)
        rules = Rules(retries=6, retry_share=1.0)
        playing = asyncio.create_task(
            collect(plans, Served(port), Counting, concurrency=1, max_turns=9, rules=rules, monitor=monitor)
        )
        await asyncio.to_thread(first.wait)
        await asyncio.to_thread(tell_to_open, second)
        try:
            return await playing
        finally:
            second.kill()
            second.wait()

    assert all(whole(episode) for episode in asyncio.run(play_on()))
    assert {failure.outcome for failure in monitor.failures} == {Outcome.INFERENCE_ERROR}


def test_a_store_that_fails_ends_the_rollout_with_what_it_had(tmp_path: Path) -> None:
    journal, database = tmp_path / "journal", tmp_path / "store.sqlite"

    def play_and_keep(store: Store) -> None:
        with EpisodeWriter(store, "run") as writer:

            def keep(episode: Episode) -> None:
                writer.write(episode, iteration=0)
                writer.flush()
                if episode.id == "l/0002/00":
                    with closing(sqlite3.connect(database)) as other:
                        other.execute("ALTER TABLE turns RENAME TO gone")

            play([task("fine")] * 8, journal=journal, on_episode=keep, concurrency=1)

    with Store(database) as store:
        store.create_run("run", "train", config={}, versions={})
        with pytest.raises(StoreFault, match="turns"):
            play_and_keep(store)
    lines = journal.read_text().splitlines()
    assert sum("reset" in line for line in lines) == 4
    assert lines[-1] == "close"
    with closing(sqlite3.connect(database)) as other:
        kept = [row[0] for row in other.execute("SELECT id FROM episodes ORDER BY id")]
    assert kept == ["l/0000/00", "l/0001/00", "l/0002/00"]


def test_a_slow_world_holds_up_nobody(tmp_path: Path) -> None:
    """The slow one waits for the others to be done: played in step, it would wait for ever."""
    done = tmp_path / "done"
    others: list[str] = []

    def count(episode: Episode) -> None:
        others.append(episode.id)
        if len(others) == 12:
            done.touch()

    for stepping in (Stepping.THREAD, Stepping.PROCESS):
        others.clear()
        done.unlink(missing_ok=True)
        tasks = [task("fine", awaits=str(done)), *[task("fine")] * 12]
        episodes = play(tasks, stepping, on_episode=count, concurrency=4)
        assert all(whole(episode) for episode in episodes)
        assert others[-1] == episodes[0].id


def test_senseless_rules_are_refused() -> None:
    with pytest.raises(UsageError, match="step_s"):
        Limits(step_s=0.0)
    with pytest.raises(UsageError, match="retry_share"):
        Rules(retry_share=1.5)


def test_a_plan_that_needs_no_world_makes_none() -> None:
    def never() -> Counting:
        raise AssertionError

    assert asyncio.run(collect([], OracleAgent(), never, concurrency=1, max_turns=1)) == []


def test_environments_say_how_they_are_stepped(tmp_path: Path) -> None:
    class Elsewhere(Counting):
        stepping = Stepping.PROCESS

    journal = tmp_path / "journal"
    plan = EpisodePlan(task("fine"), "e", "g", 0)
    (episode,) = asyncio.run(
        collect([plan], OracleAgent(), lambda: Elsewhere(journal), concurrency=1, max_turns=9)
    )
    assert whole(episode)
    (pid,) = [int(line.split()[-1]) for line in journal.read_text().splitlines() if "reset" in line]
    assert pid != os.getpid()
