"""What the page that compares two evaluations shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select

from agentgym.core.errors import UnknownNameError
from agentgym.evaluation.compare import Comparison, compare
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.results import EpisodeResult
from agentgym.serving.viewer.library import Library
from agentgym.store.tables import StoreRow

_EPISODES = StoreRow.metadata.tables["episodes"]
_CHUNK = 500
_NO_EVALUATION = ("versions",)


class Played(NamedTuple):
    """A side's episode of a task."""

    result: EpisodeResult
    run_id: str
    """The run in whose store the episode is; empty where it was not kept."""


class Change(NamedTuple):
    """A task that one side solved more often."""

    task_id: str
    before: Sequence[Played]
    after: Sequence[Played]


@dataclass(frozen=True, slots=True)
class ComparePage:
    """Everything on the page."""

    names: Sequence[str]
    """Evaluations to choose from."""
    before: str
    after: str
    comparison: Comparison | None
    fixed: Sequence[Change]
    broken: Sequence[Change]


def compare_page(library: Library, before: str, after: str) -> ComparePage:
    """Compare two of the library's evaluations, or offer them while one is missing.

    Raises `UnknownNameError`, and `UsageError` where the two cannot be compared.
    """
    files = evaluations(library)
    if not before or not after:
        return ComparePage(list(files), before, after, None, (), ())
    for name in (before, after):
        if name not in files:
            raise UnknownNameError("evaluation", name, files)
    sides = Evaluation.load(files[before]), Evaluation.load(files[after])
    comparison = compare(*sides)
    changed = [*comparison.fixed, *comparison.broken]
    old, new = (
        _played(library, name.partition(":")[0], side, changed)
        for name, side in zip((before, after), sides, strict=True)
    )
    fixed, broken = (
        [Change(task, old.get(task, ()), new.get(task, ())) for task in tasks]
        for tasks in (comparison.fixed, comparison.broken)
    )
    return ComparePage(list(files), before, after, comparison, fixed, broken)


def evaluations(library: Library) -> dict[str, Path]:
    """Return the files of the runs' evaluations by name: `RUN`, or `RUN:PART` where a run has several."""
    found: dict[str, Path] = {}
    for name, folder in library.folders().items():
        trained = (folder / "recipe.toml").is_file()
        for path in sorted((folder / "evaluations" if trained else folder).glob("*.json")):
            if path.stem not in _NO_EVALUATION:
                found[name if path.stem == "evaluation" else f"{name}:{path.stem}"] = path
    return found


def _played(
    library: Library, folder: str, evaluation: Evaluation, tasks: Iterable[str]
) -> Mapping[str, Sequence[Played]]:
    wanted = set(tasks)
    results = [result for result in evaluation.results if result.task_id in wanted]
    kept = _kept(library, folder, [result.episode_id for result in results])
    found: dict[str, list[Played]] = {}
    for result in results:
        found.setdefault(result.task_id, []).append(Played(result, kept.get(result.episode_id, "")))
    return found


def _kept(library: Library, folder: str, ids: Sequence[str]) -> dict[str, str]:
    """Return the run of each episode that is in the store."""
    found: dict[str, str] = {}
    with library.reading(folder) as connection:
        for start in range(0, len(ids), _CHUNK):
            chosen = _EPISODES.c.id.in_(ids[start : start + _CHUNK])
            found.update(
                (row.id, row.run_id)
                for row in connection.execute(select(_EPISODES.c.id, _EPISODES.c.run_id).where(chosen))
            )
    return found
