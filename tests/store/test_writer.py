import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agentgym.core.errors import StoreFault, UnknownNameError, UsageError
from agentgym.core.trace import Episode, Outcome
from agentgym.database import connect
from agentgym.store.store import Store
from agentgym.store.writer import EpisodeWriter

MakeEpisode = Callable[[str], Episode]


def ids(store: Store) -> list[str]:
    return [episode.id for episode in store.episodes("run")]


def test_flush_waits_until_everything_is_there(store: Store, make_episode: MakeEpisode) -> None:
    with EpisodeWriter(store, "run") as writer:
        for number in range(100):
            writer.write(make_episode(str(number)), iteration=0)
        writer.flush()
        assert ids(store) == [str(number) for number in range(100)]
        writer.write(make_episode("last"), iteration=1, phase="eval")
    assert [row.id for row in store.episode_rows("run", iteration=1, phase="eval")] == ["last"]


def test_many_threads_may_write(store: Store, make_episode: MakeEpisode) -> None:
    with EpisodeWriter(store, "run", queue_size=4) as writer:

        def work(name: str) -> None:
            for number in range(30):
                writer.write(make_episode(f"{name}-{number}"), iteration=0)

        threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.flush()
        assert sorted(ids(store)) == sorted(f"{n}-{number}" for n in range(4) for number in range(30))


def test_an_unknown_run_is_refused(store: Store) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'run'"):
        EpisodeWriter(store, "rum")


def test_an_episode_that_cannot_be_stored_is_the_callers_mistake(
    store: Store, make_episode: MakeEpisode
) -> None:
    with EpisodeWriter(store, "run") as writer:
        with pytest.raises(UsageError, match="score"):
            writer.write(replace(make_episode("bad"), outcome=Outcome.CANCELLED), iteration=0)
        writer.write(make_episode("good"), iteration=0)
    assert ids(store) == ["good"]


def test_a_closed_writer_says_so(store: Store, make_episode: MakeEpisode) -> None:
    writer = EpisodeWriter(store, "run")
    writer.close()
    writer.close()
    with pytest.raises(UsageError, match="closed"):
        writer.write(make_episode("a"), iteration=0)


def test_a_failure_is_raised_at_each_later_call(store: Store, make_episode: MakeEpisode) -> None:
    writer = EpisodeWriter(store, "run", queue_size=2)
    writer.write(make_episode("a"), iteration=0)
    writer.flush()
    writer.write(make_episode("a"), iteration=1)
    with pytest.raises(StoreFault, match="UNIQUE"):
        writer.flush()
    with pytest.raises(StoreFault, match="UNIQUE"):
        writer.write(make_episode("b"), iteration=1)
    with pytest.raises(StoreFault, match="UNIQUE"):
        writer.close()
    assert ids(store) == ["a"]


def test_leaving_the_block_raises_the_failure(store: Store, make_episode: MakeEpisode) -> None:
    store.write_episodes("run", [make_episode("a")], iteration=0)
    with pytest.raises(StoreFault, match="UNIQUE"), EpisodeWriter(store, "run") as writer:
        writer.write(make_episode("a"), iteration=0)


def test_an_error_in_the_block_is_not_hidden_and_what_was_written_is_kept(
    store: Store, make_episode: MakeEpisode
) -> None:
    def write_and_stop() -> None:
        with EpisodeWriter(store, "run") as writer:
            writer.write(make_episode("a"), iteration=0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_stop()
    assert ids(store) == ["a"]
    with pytest.raises(KeyboardInterrupt) as caught:
        write_and_stop()
    assert "UNIQUE" in caught.value.__notes__[0]


def test_a_writer_waits_for_another_process(store: Store, make_episode: MakeEpisode) -> None:
    with closing(connect(store.path)) as other, EpisodeWriter(store, "run") as writer:
        other.execute("BEGIN IMMEDIATE")
        writer.write(make_episode("a"), iteration=0)
        time.sleep(0.2)
        assert ids(store) == []  # reading goes on
        other.execute("COMMIT")
        writer.flush()
        assert ids(store) == ["a"]


ENDLESS = """
import resource, sys
from dataclasses import replace
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason, Turn
from agentgym.store.store import Store
from agentgym.store.writer import EpisodeWriter
import numpy as np

path, limit = sys.argv[1], int(sys.argv[2])
none = np.empty(0, np.int32)
turn = Turn("x" * 2000, "go", 0.0, False, False, True, "", 0, 0, none, none,
            np.empty(0, np.float32), np.empty(0, np.int8))
task = Task("t", "e", Split.TRAIN)
episode = Episode("", task, "g", [turn] * 40, Outcome.FAILURE, 0.0, StopReason.MAX_TURNS, 0)
with Store(path) as store:
    store.create_run("run", "train", config={}, versions={})
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with EpisodeWriter(store, "run") as writer:
        for number in range(1_000_000):
            writer.write(replace(episode, id=str(number)), iteration=0)
            if number % 20 == 0:
                writer.flush()
                print(number, flush=True)
"""


def test_a_kill_in_mid_write_leaves_whole_episodes_only(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, path, "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as stdout:
        acknowledged = next(number for number in map(int, stdout) if number >= 200)
        time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = int([str(acknowledged), *stdout.read().split()][-1])
    process.wait()
    with Store(path) as store:
        found = list(store.episodes("run"))
        assert [episode.id for episode in found] == [str(number) for number in range(len(found))]
        assert len(found) > acknowledged >= 200
        assert {len(episode.turns) for episode in found} == {40}
        assert {row.n_turns for row in store.episode_rows("run")} == {40}
        store.write_episodes("run", [replace(found[0], id="after")], iteration=0)


def test_a_full_disk_is_reported_and_loses_nothing_committed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    limit = 3_000_000
    process = subprocess.run(
        [sys.executable, "-c", ENDLESS, path, str(limit)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    assert "StoreFault: Cannot write to the store" in process.stderr
    assert "what was committed before is safe" in process.stderr
    with Store(path) as store:
        found = list(store.episodes("run"))
        assert len(found) > int(process.stdout.split()[-1])
        assert {len(episode.turns) for episode in found} == {40}
