"""What the list of runs and the page of a run show."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from agentgym.core.errors import AgentGymError, UnknownNameError
from agentgym.core.trace import Outcome
from agentgym.evaluation.rates import Rate
from agentgym.evaluation.report import Evaluation
from agentgym.serving.viewer.charts import CHARTS, Points
from agentgym.serving.viewer.library import Library
from agentgym.store.folders import STORE_FILE
from agentgym.store.queries import episode_counts
from agentgym.store.records import number
from agentgym.store.tables import RunStatus, StoreRow

_RUNS = StoreRow.metadata.tables["runs"]
_EPISODES = StoreRow.metadata.tables["episodes"]
_METRICS = StoreRow.metadata.tables["metrics"]
_EVALUATIONS = StoreRow.metadata.tables["evaluations"]

_SILENT_S = 600.0
"""After so long without a word, a running run may have been killed."""
_TAIL_BYTES = 100_000
"""As much of the end of a log is read."""
_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in the list, or a store that cannot be shown."""

    folder: str
    id: str = ""
    kind: str = ""
    created: str = ""
    status: str = "unreadable"
    silent_s: float = 0.0
    """Seconds since a running one was heard of; 0: lately."""
    episodes: int = 0
    iterations: int = 0
    success: float | None = None
    """Of the last iteration or, without iterations, of all episodes with a score."""
    points: Points = ()
    """Success by iteration."""
    problem: str = ""

    @property
    def version(self) -> str:
        """Differs where anything that is drawn differs."""
        return f"{self.iterations}-{self.episodes}-{self.status}"


@dataclass(frozen=True, slots=True)
class Failed:
    """An episode that ended by an error."""

    id: str
    outcome: str
    error: str


@dataclass(frozen=True, slots=True)
class RunPage:
    """Everything on the page of a run but the pictures."""

    summary: Summary
    config: Any
    versions: Mapping[str, Any]
    outcomes: Mapping[str, int]
    figures: Mapping[str, tuple[float, float]]
    """First and last value of each metric."""
    charts: Sequence[str]
    """Those that have something to show."""
    evaluations: Sequence[Mapping[str, Any]]
    """With the rates of their parts, where the run is nothing but evaluations."""
    failed: Sequence[Failed]
    """The last episodes that ended by an error."""
    retried: Sequence[str]
    """The last attempts that were made again."""


def summaries(library: Library) -> list[Summary]:
    """Return every run, the newest first; a store that cannot be read says why."""
    found: list[Summary] = []
    for name, folder in library.folders().items():
        try:
            with library.reading(name) as connection:
                rows = connection.execute(select(_RUNS)).mappings().all()
                found += [_summary(connection, name, folder, row) for row in rows]
        except AgentGymError as error:
            found.append(Summary(name, problem=str(error)))
    return sorted(found, key=lambda one: one.created, reverse=True)


def summary(library: Library, name: str, run_id: str) -> Summary:
    """Return one run; raises `UnknownNameError` and as `Library.reading`."""
    folder = library.folder(name)
    with library.reading(name) as connection:
        return _summary(connection, name, folder, run_row(connection, run_id))


def run_row(connection: Connection, run_id: str) -> Mapping[Any, Any]:
    """Return the row of a run; raises `UnknownNameError`."""
    row = connection.execute(select(_RUNS).where(_RUNS.c.id == run_id)).mappings().first()
    if row is None:
        known = connection.execute(select(_RUNS.c.id)).scalars().all()
        raise UnknownNameError("run", run_id, known)
    return row


def run_page(library: Library, name: str, run_id: str) -> RunPage:
    """Return the page of a run; raises as `summary`."""
    folder = library.folder(name)
    with library.reading(name) as connection:
        row = run_row(connection, run_id)
        metrics = {**_metrics(connection, run_id), **_timing(folder)}
        return RunPage(
            summary=_summary(connection, name, folder, row),
            config=json.loads(row["config_json"]),
            versions=json.loads(row["versions_json"]),
            outcomes=_by_outcome(connection, run_id),
            figures={name: (points[0][1], points[-1][1]) for name, points in sorted(metrics.items())},
            charts=[key for key, chart in CHARTS.items() if any(name in metrics for name in chart.names)],
            evaluations=_evaluations(connection, run_id, with_parts=not metrics),
            failed=_failed(connection, run_id),
            retried=[json.dumps(line) for line in _lines(folder / "failures.jsonl")][-_ERRORS:],
        )


def series(library: Library, name: str, run_id: str, names: Sequence[str]) -> dict[str, Points]:
    """Return the named figures of a run by iteration."""
    with library.reading(name) as connection:
        run_row(connection, run_id)
        found = {**_metrics(connection, run_id), **_timing(library.folder(name))}
    return {name: found[name] for name in names if name in found}


def _summary(connection: Connection, name: str, folder: Path, row: Mapping[Any, Any]) -> Summary:
    outcomes = _by_outcome(connection, row["id"])
    points = _metrics(connection, row["id"], "success").get("success", [])
    running = row["status"] == RunStatus.RUNNING
    return Summary(
        folder=name,
        id=row["id"],
        kind=row["kind"],
        created=row["created"],
        status=row["status"],
        silent_s=_silence(folder) if running else 0.0,
        episodes=sum(outcomes.values()),
        iterations=len(points),
        success=points[-1][1] if points else _success(outcomes),
        points=points,
    )


def _by_outcome(connection: Connection, run_id: str) -> dict[str, int]:
    outcomes = Counter[str]()
    for (_, outcome), count in episode_counts(connection, run_id).items():
        outcomes[outcome] += count
    return dict(outcomes)


def _success(outcomes: Mapping[str, int]) -> float | None:
    scored = sum(count for name, count in outcomes.items() if Outcome(name).scored)
    return outcomes.get(Outcome.SUCCESS, 0) / scored if scored else None


def _silence(folder: Path) -> float:
    times: list[float] = []
    for path in (folder / STORE_FILE, folder / f"{STORE_FILE}-wal"):
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    silent_s = time.time() - max(times, default=0.0)
    return silent_s if silent_s > _SILENT_S else 0.0


def _metrics(connection: Connection, run_id: str, *names: str) -> dict[str, list[tuple[int, float]]]:
    asked = select(_METRICS.c.name, _METRICS.c.iteration, _METRICS.c.value).where(_METRICS.c.run_id == run_id)
    if names:
        asked = asked.where(_METRICS.c.name.in_(names))
    found: dict[str, list[tuple[int, float]]] = {}
    for name, iteration, value in connection.execute(asked.order_by(_METRICS.c.iteration)):
        found.setdefault(name, []).append((iteration, number(value)))
    return found


def _timing(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for line in _lines(folder / "timing.jsonl"):
        for name, value in line.items():
            if name != "iteration" and isinstance(value, int | float):
                found.setdefault(name, []).append((int(line.get("iteration", 0)), float(value)))
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records at the end of a log, without one that is being written."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            data = stream.read(_TAIL_BYTES)
    except OSError:
        return
    for line in data.decode("utf-8", "replace").splitlines():
        with suppress(ValueError):
            record: Any = json.loads(line)
            if isinstance(record, dict):
                yield record


def _evaluations(connection: Connection, run_id: str, with_parts: bool) -> list[Mapping[str, Any]]:
    rows = select(_EVALUATIONS).where(_EVALUATIONS.c.run_id == run_id).order_by(_EVALUATIONS.c.id)
    found: list[Mapping[str, Any]] = []
    for row in connection.execute(rows).mappings():
        evaluation = Evaluation.from_json(row["result_json"], row["name"])
        rate = evaluation.rate() if evaluation.scored else None
        parts = _parts(evaluation) if with_parts else []
        about = {"name": row["name"], "iteration": row["iteration"], "rate": rate, "of": evaluation}
        found.append({**about, "parts": parts})
    return found


def _parts(evaluation: Evaluation) -> list[tuple[str, Rate]]:
    """Return the rates by group, by kind of task and by difficulty."""
    groups = [(name, evaluation.rate(group=name)) for name in evaluation.groups]
    types = [(name, evaluation.rate(task_type=name)) for name in evaluation.task_types]
    difficulties = [(name, evaluation.rate(difficulty=name)) for name in evaluation.difficulties]
    return [*groups, *types, *difficulties]


def _failed(connection: Connection, run_id: str) -> list[Failed]:
    columns = (_EPISODES.c.id, _EPISODES.c.outcome, _EPISODES.c.error)
    rows = select(*columns).where(_EPISODES.c.run_id == run_id, _EPISODES.c.error.is_not(None))
    return [Failed(*row) for row in connection.execute(rows.order_by(_EPISODES.c.pk.desc()).limit(_ERRORS))]
