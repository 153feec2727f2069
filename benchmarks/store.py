"""How fast episodes are written, and what writing costs a rollout.

    python -m benchmarks.store

Prints rows (turns) per second of the store beside sqlmodel objects, alternating, on the same rows, and
the time of a rollout loop without and with a writer. The figures per CPU second hold on a busy machine. A row is one turn: an observation of 50 words, 200
token ids, 200 log-probabilities (about 2 kB); `chat` adds the messages and prompt ids that a chat agent
records.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sqlmodel import Session, create_engine

from agentgym.core.message import Message
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason, Turn
from agentgym.store.records import EPISODE_COLUMNS, TURN_COLUMNS, episode_record
from agentgym.store.store import Store
from agentgym.store.tables import EpisodeRow, TurnRow
from agentgym.store.writer import EpisodeWriter

TURNS = 15
"""Turns in an episode."""
GROUP = 32
"""Episodes in a transaction where many wait."""


def make_episode(number: int, turn: Turn) -> Episode:
    task = Task("benchmark-0", "agentgym/Benchmark-v0", Split.TRAIN, params={"task_type": "none"})
    turns = tuple(replace(turn, state_key=f"{number}-{n}") for n in range(TURNS))
    return Episode(
        f"episode-{number}", task, "group", turns, Outcome.FAILURE, 0.0, StopReason.MAX_TURNS, seed=number
    )


def make_turn(chat: bool) -> Turn:
    random = np.random.default_rng(0)
    words = " ".join(["cabinet"] * 50)
    return Turn(
        observation=words,
        action="go to cabinet 1",
        reward=0.0,
        terminated=False,
        truncated=False,
        valid=True,
        state_key="",
        policy_version=1,
        prompt_start=0,
        prompt_ids=random.integers(0, 50000, 80 if chat else 0).astype(np.int32),
        completion_ids=random.integers(0, 50000, 200).astype(np.int32),
        logprobs=-random.random(200).astype(np.float32),
        loss_mask=np.ones(200, np.int8),
        messages_delta=(Message("user", words), Message("assistant", "go to cabinet 1")) if chat else (),
        timing={"policy": 0.0123456, "env": 0.0000456},
    )


class Cost(NamedTuple):
    """Of one turn, in seconds."""

    wall: float
    cpu: float
    """Of all threads of the process."""


def write_cost(write: Callable[[Path, list[Episode]], None], episodes: list[Episode]) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        write(Path(folder) / "store.db", episodes)
        turns = len(episodes) * TURNS
        return Cost((time.perf_counter() - wall) / turns, (time.process_time() - cpu) / turns)


def with_writer(path: Path, episodes: list[Episode]) -> None:
    with Store(path) as store:
        store.create_run("run", "train", config={}, versions={})
        with EpisodeWriter(store, "run") as writer:
            for episode in episodes:
                writer.write(episode, iteration=0)


def one_transaction_each(path: Path, episodes: list[Episode]) -> None:
    with Store(path) as store:
        store.create_run("run", "train", config={}, versions={})
        for episode in episodes:
            store.write_episodes("run", [episode], iteration=0)


def many_per_transaction(path: Path, episodes: list[Episode]) -> None:
    with Store(path) as store:
        store.create_run("run", "train", config={}, versions={})
        for first in range(0, len(episodes), GROUP):
            store.write_episodes("run", episodes[first : first + GROUP], iteration=0)


def with_sqlmodel(path: Path, episodes: list[Episode]) -> None:
    """One object per row, one commit per episode, SQLite's settings as in the store."""
    with Store(path) as store:
        store.create_run("run", "train", config={}, versions={})
    engine = create_engine(f"sqlite:///{path}")
    with Session(engine) as session:
        session.connection().exec_driver_sql("PRAGMA synchronous=NORMAL")
        session.commit()
        for episode in episodes:
            record = episode_record("run", 0, "train", episode)
            row = EpisodeRow(**dict(zip(EPISODE_COLUMNS, record.values, strict=True)))
            session.add(row)
            session.flush()
            columns = ["episode_pk", *TURN_COLUMNS]
            for values in record.turns:
                fields: dict[str, Any] = dict(zip(columns, (row.pk, *values), strict=True))
                session.add(TurnRow(**fields))
            session.commit()
    engine.dispose()


def rollout_cost(episodes: list[Episode], work: Callable[[], Any], writer: EpisodeWriter | None) -> Cost:
    """Play the episodes, `work` standing for the policy and the environment of a turn."""
    wall, cpu = time.perf_counter(), time.process_time()
    for episode in episodes:
        for _ in episode.turns:
            work()
        if writer is not None:
            writer.write(episode, iteration=0)
    turns = len(episodes) * TURNS
    return Cost((time.perf_counter() - wall) / turns, (time.process_time() - cpu) / turns)


def slowdown(episodes: list[Episode], work: Callable[[], Any], rounds: int) -> tuple[Cost, Cost]:
    """Return the medians without and with a writer, alternating."""
    alone: list[Cost] = []
    beside: list[Cost] = []
    for _ in range(rounds):
        alone.append(rollout_cost(episodes, work, None))
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.db") as store:
            store.create_run("run", "train", config={}, versions={})
            with EpisodeWriter(store, "run") as writer:
                beside.append(rollout_cost(episodes, work, writer))
    return median(alone), median(beside)


def median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))


def spin(loops: int) -> int:
    """Python code, holding the interpreter lock as an agent's own code does."""
    total = 0
    for value in range(loops):
        total += value * value % 7
    return total


def main() -> None:
    rounds = 5
    ways = {
        "EpisodeWriter": with_writer,
        "write_episodes, 1 episode": one_transaction_each,
        f"write_episodes, {GROUP} episodes": many_per_transaction,
        "sqlmodel objects, 1 episode": with_sqlmodel,
    }
    for kind in ("plain", "chat"):
        turn = make_turn(kind == "chat")
        episodes = [make_episode(number, turn) for number in range(2000)]
        costs: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, write in ways.items():
                few = episodes[:200] if write is with_sqlmodel else episodes
                costs[name].append(write_cost(write, few))
        for name, found in costs.items():
            usual, best = median(found), Cost(min(c.wall for c in found), min(c.cpu for c in found))
            print(
                f"{kind:6} {name:28} {1 / usual.wall:9,.0f} rows/s (best {1 / best.wall:,.0f}), "
                f"{1 / usual.cpu:9,.0f} per CPU second"
            )
    episodes = [make_episode(number, make_turn(chat=True)) for number in range(20)]
    matrix = np.ones((320, 320), np.float32)
    for name, work in {
        "matrix products": lambda: [matrix @ matrix for _ in range(4)],
        "Python code": lambda: spin(20000),
    }.items():
        alone, beside = slowdown(episodes, work, rounds=25)
        print(
            f"rollout of {name}, {alone.wall * 1e3:.2f} ms a turn: with the writer "
            f"{100 * (beside.wall / alone.wall - 1):+.1f} % wall, {100 * (beside.cpu / alone.cpu - 1):+.1f} % CPU"
        )


if __name__ == "__main__":
    main()
