"""`Store`: one SQLite file that holds runs and what came of them."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, Unpack

from sqlalchemy import ColumnElement
from sqlmodel import Session, SQLModel, col, select

from agentgym.core.errors import UnknownNameError, UsageError, did_you_mean
from agentgym.core.task import Task
from agentgym.core.trace import Episode
from agentgym.database import connect, open_sqlite, transaction
from agentgym.store.database import STORE
from agentgym.store.lessons import Lesson, insert_lessons, read_lessons
from agentgym.store.queries import (
    EpisodeFilter,
    episode_counts,
    insert_episodes,
    matching,
    read_chunk,
    recount,
)
from agentgym.store.records import EpisodeRecord, episode_record, number
from agentgym.store.tables import EpisodeRow, EvaluationRow, MetricRow, RunRow, RunStatus


class Metric(NamedTuple):
    """One figure of one iteration."""

    iteration: int
    name: str
    value: float


class Store:
    """The records of any number of runs, in SQLite with a write-ahead log.

    Each call that writes is one transaction: after a crash or kill it is there wholly or not at all.
    Threads may share a store; other processes may read and write the same file. One of an older version is brought
    to this one. Raises `UsageError` for a file that is no store, or a newer one, `StoreFault` when the disk fails.
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        """Open the store; a missing file is made where `create` is true."""
        self.path = Path(path)
        self._engine = open_sqlite(STORE, self.path, create=create)
        self._writer = connect(self.path)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._writer.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def create_run(
        self, run_id: str, kind: str, *, config: Mapping[str, Any], versions: Mapping[str, Any]
    ) -> RunRow:
        """Add a run in status `running`; raises `UsageError` when the id is taken."""
        if any(run.id == run_id for run in self.runs()):
            raise UsageError(f"Run {run_id!r} is in {self.path} already; resume it or choose another id.")
        row = RunRow(
            id=run_id,
            kind=kind,
            created=_now(),
            status=RunStatus.RUNNING,
            config_json=json.dumps(config),
            versions_json=json.dumps(versions),
        )
        self._add(row)
        return row

    def runs(self) -> list[RunRow]:
        """Return every run, oldest first."""
        with STORE.faults(self.path, "read"), Session(self._engine) as session:
            return list(session.exec(select(RunRow).order_by(RunRow.created, RunRow.id)))

    def run(self, run_id: str) -> RunRow:
        """Return a run; raises `UnknownNameError`."""
        runs = {run.id: run for run in self.runs()}
        if run_id not in runs:
            raise UnknownNameError("run", run_id, runs)
        return runs[run_id]

    def set_status(self, run_id: str, status: RunStatus) -> None:
        """Note where a run stands; raises `UnknownNameError`."""
        self.run(run_id)
        with self._writing() as connection:
            connection.execute("UPDATE runs SET status = ? WHERE id = ?", (status.value, run_id))

    def write_episodes(
        self, run_id: str, episodes: Iterable[Episode], *, iteration: int, phase: str = "train"
    ) -> None:
        """Add episodes in one transaction; see `EpisodeWriter` for doing it beside a rollout.

        Raises `UsageError` for what cannot be stored, and then writes none of them.
        """
        self.commit([episode_record(run_id, iteration, phase, episode) for episode in episodes])

    def commit(self, records: Sequence[EpisodeRecord]) -> None:
        """Add encoded episodes in one transaction."""
        with self._writing() as connection:
            insert_episodes(connection, records)

    def write_lessons(self, run_id: str, lessons: Iterable[Lesson]) -> None:
        """Add what training made of episodes that are in the store, in one transaction.

        A lesson of the same episode and iteration is replaced; one of an episode that the run has not is left out.
        """
        with self._writing() as connection:
            insert_lessons(connection, run_id, lessons)

    def lessons(self, run_id: str, *episodes: str) -> dict[str, list[Lesson]]:
        """Return the lessons of episodes by id, each in the order of iterations; without those that have none."""
        with STORE.faults(self.path, "read"), self._engine.connect() as connection, connection.begin():
            return read_lessons(connection, run_id, episodes)

    def episodes(self, run_id: str, **where: Unpack[EpisodeFilter]) -> Iterator[Episode]:
        """Yield the matching episodes of a run, in the order in which they were written.

        Raises `UnknownNameError` for an unknown run or filter.
        """
        self.run(run_id)
        return self._iterate(matching(run_id, where))

    def _iterate(self, conditions: list[ColumnElement[bool]]) -> Iterator[Episode]:
        last = 0
        while True:
            with STORE.faults(self.path, "read"), self._engine.connect() as connection, connection.begin():
                chunk = read_chunk(connection, conditions, last)
            if not chunk:
                return
            last = chunk[-1][0]
            yield from (episode for _, episode in chunk)

    def episode_rows(self, run_id: str, **where: Unpack[EpisodeFilter]) -> list[EpisodeRow]:
        """Return the matching episodes without their turns: what a listing needs."""
        self.run(run_id)
        query = select(EpisodeRow).where(*matching(run_id, where)).order_by(col(EpisodeRow.pk))
        with STORE.faults(self.path, "read"), Session(self._engine) as session:
            return list(session.exec(query))

    def episode(self, episode_id: str, run_id: str | None = None) -> Episode:
        """Return one episode; `run_id` may be left out where only one run has the id.

        Raises `UsageError` when there is none, or when several runs have one.
        """
        query = select(EpisodeRow.run_id, EpisodeRow.id).order_by(EpisodeRow.run_id)
        if run_id is not None:
            query = query.where(EpisodeRow.run_id == self.run(run_id).id)
        with STORE.faults(self.path, "read"), Session(self._engine) as session:
            runs = [run for run, _ in session.exec(query.where(EpisodeRow.id == episode_id))]
            known = [] if runs else [name for _, name in session.exec(query)]
        if not runs:
            raise UsageError(f"No episode {episode_id!r} in {self.path}.{did_you_mean(episode_id, known)}")
        if len(runs) > 1:
            raise UsageError(f"Episode {episode_id!r} is in the runs {', '.join(runs)}; give the run_id.")
        return next(self.episodes(runs[0], id=episode_id))

    def log_metrics(self, run_id: str, iteration: int, values: Mapping[str, float]) -> None:
        """Write the figures of an iteration; a name written before is replaced."""
        rows = [(run_id, iteration, name, float(value)) for name, value in values.items()]
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO metrics (run_id, iteration, name, value) VALUES (?, ?, ?, ?)", rows
            )

    def metrics(self, run_id: str, *names: str) -> list[Metric]:
        """Return the figures of a run (only those of `names`, if any) by iteration, then name."""
        self.run(run_id)
        query = select(MetricRow).where(MetricRow.run_id == run_id)
        if names:
            query = query.where(col(MetricRow.name).in_(names))
        query = query.order_by(col(MetricRow.iteration), MetricRow.name)
        with STORE.faults(self.path, "read"), Session(self._engine) as session:
            rows = session.exec(query)
            return [Metric(row.iteration, row.name, number(row.value)) for row in rows]

    def add_evaluation(self, run_id: str, iteration: int, name: str, result_json: str) -> None:
        """Keep the result of an evaluation, in place of one of the same name in the same iteration.

        Raises `UnknownNameError` for an unknown run.
        """
        self.run(run_id)
        with self._writing() as connection:
            statement = "DELETE FROM evaluations WHERE run_id = ? AND iteration = ? AND name = ?"
            connection.execute(statement, (run_id, iteration, name))
            connection.execute(
                "INSERT INTO evaluations (run_id, iteration, name, created, result_json) VALUES (?, ?, ?, ?, ?)",
                (run_id, iteration, name, _now(), result_json),
            )

    def evaluations(self, run_id: str) -> list[EvaluationRow]:
        """Return the evaluations of a run in the order in which they were added."""
        self.run(run_id)
        query = select(EvaluationRow).where(EvaluationRow.run_id == run_id).order_by(col(EvaluationRow.id))
        with STORE.faults(self.path, "read"), Session(self._engine) as session:
            return list(session.exec(query))

    def tasks(self, run_id: str, phase: str) -> list[Task]:
        """Return the tasks that a phase of a run has played, each once; raises `UnknownNameError`."""
        self.run(run_id)
        query = select(EpisodeRow.task_json).where(*matching(run_id, {"phase": phase})).distinct()
        with STORE.faults(self.path, "read"), Session(self._engine) as session:
            return [Task.from_json(json.loads(text)) for text in session.exec(query)]

    def phases(self, run_id: str) -> dict[str, int]:
        """Return how many episodes of a run each phase has; raises `UnknownNameError`."""
        self.run(run_id)
        phases = Counter[str]()
        with STORE.faults(self.path, "read"), self._engine.connect() as connection:
            for (phase, _), count in episode_counts(connection, run_id).items():
                phases[phase] += count
        return dict(phases)

    def delete_episodes(self, run_id: str, ids: Iterable[str]) -> None:
        """Delete episodes of a run, to be played again; raises `UnknownNameError` for an unknown run."""
        self.run(run_id)
        with self._writing() as connection:
            statement = "DELETE FROM episodes WHERE run_id = ? AND id = ?"
            connection.executemany(statement, [(run_id, name) for name in ids])
            recount(connection, run_id)

    def delete_from(self, run_id: str, iteration: int) -> None:
        """Delete a run's episodes, lessons, metrics and evaluations of `iteration` and later.

        A run that resumes calls this first, so that the iterations it plays again are not there twice.
        """
        self.run(run_id)
        with self._writing() as connection:
            later = "iteration >= ? AND episode_pk IN (SELECT pk FROM episodes WHERE run_id = ?)"
            connection.execute(f"DELETE FROM lessons WHERE {later}", (iteration, run_id))
            for table in ("episodes", "metrics", "evaluations"):  # turns and lessons go with their episodes
                connection.execute(
                    f"DELETE FROM {table} WHERE run_id = ? AND iteration >= ?", (run_id, iteration)
                )
            recount(connection, run_id)

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._lock, STORE.faults(self.path, "write to"), transaction(self._writer) as connection:
            yield connection

    def _add(self, row: SQLModel) -> None:
        with self._lock, STORE.faults(self.path, "write to"), Session(self._engine) as session:
            session.add(row)
            session.commit()
            session.refresh(row)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
