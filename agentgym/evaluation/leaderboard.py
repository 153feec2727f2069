"""Every evaluation in the stores below a folder, ranked by suite.

What stands on one board was played under one set of conditions: the same suite in the same version, split, options and
limits, and judged alike. They stand in the order of their estimates; which places an entry may really have is told by
how many are better than it and how many are worse. Which of two is better is told by the paired comparison, task by
task; where two played other tasks or seeds, by whether their intervals are apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from agentgym.core.errors import StoreFault, UsageError
from agentgym.evaluation.compare import Verdict, verdict
from agentgym.evaluation.rates import PassRates, Rate
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.results import Record
from agentgym.store.store import Store


class Entry(Record):
    """One evaluation on a board."""

    places: tuple[int, int]
    """From one more than the number of better entries to the place before all that are worse: `(1, 3)` is a tie of
    three at the top, or a place that too few tasks tell."""
    run: str
    """The run's name, with the evaluation's where it has several, such as `quickstart:after`."""
    path: str
    """The run's directory."""
    agent: str
    created: str
    success: Rate
    passes: PassRates | None
    """For as many samples as each task has; null for one."""
    lost: int
    missing: int
    tokens: float
    """Sampled in an episode."""
    cost: float | None
    beside_best: Verdict | None
    """Against the first of the board; null for that one itself, and where the two have no pairs."""
    paired: bool
    """Whether it played tasks and seeds of the first of the board; true for that one itself."""


class Board(Record):
    """The evaluations of one suite under one set of conditions, by estimate, best first."""

    title: str
    env_id: str
    split: str
    conditions: str
    """What else is equal: the suite's version, limits, options, judge."""
    entries: tuple[Entry, ...]


class _Found(NamedTuple):
    run: str
    path: Path
    evaluation: Evaluation


def leaderboard(
    root: Path,
    env_id: str | None = None,
    split: str | None = None,
    on_unreadable: Callable[[str], None] = lambda _: None,
) -> list[Board]:
    """Return the boards of what the stores of the runs in `root` hold, in alphabetical order.

    `env_id` and `split` keep to one world and split. A store that cannot be read, or is of another version, is left out,
    and `on_unreadable` told why. Raises `UsageError` where there is nothing to show.
    """
    boards: dict[tuple[str, str], list[_Found]] = {}
    for found in _evaluations(root, on_unreadable):
        evaluation = found.evaluation
        if evaluation.scored and env_id in (None, evaluation.env_id) and split in (None, evaluation.split):
            title = f"{evaluation.env_id}, {evaluation.split} tasks"
            boards.setdefault((title, _conditions(evaluation)), []).append(found)
    if not boards:
        raise UsageError(
            f"No run in {root} has an evaluation to rank; play one with `agentgym eval`, or say with --runs where they are."
        )
    return [_board(*key, found) for key, found in sorted(boards.items(), key=lambda board: board[0])]


def _evaluations(root: Path, on_unreadable: Callable[[str], None]) -> Iterator[_Found]:
    for path in sorted(root.glob("*/store.sqlite")):
        try:
            yield from _kept(path)
        except (UsageError, StoreFault) as error:
            on_unreadable(str(error))


def _kept(path: Path) -> list[_Found]:
    found: list[_Found] = []
    with Store(path, create=False) as store:
        for run in store.runs():
            rows = store.evaluations(run.id)
            for row in rows:
                name = path.parent.name if len(rows) == 1 else f"{path.parent.name}:{row.name}"
                evaluation = Evaluation.from_json(row.result_json, f"{row.name} in {path}")
                found.append(_Found(name, path.parent, evaluation))
    return found


def _conditions(evaluation: Evaluation) -> str:
    """Put into words what must be equal for two evaluations to be ranked, besides world and split."""
    limits = [f"at most {evaluation.max_turns} turns"]
    limits += [f"{evaluation.token_limit} tokens"] if evaluation.token_limit is not None else []
    limits += [f"{evaluation.time_limit:g} s"] if evaluation.time_limit is not None else []
    given = evaluation.options.items()
    options = "; ".join(f"{name} = {json.dumps(value, sort_keys=True)}" for name, value in sorted(given))
    suite = f"Suite {evaluation.suite} {evaluation.suite_version}"
    judged = f"; judged by {evaluation.scorer}" if evaluation.scorer else ""
    return f"{suite}, {', '.join(limits)}; environment options: {options or 'none'}{judged}"


def _board(title: str, conditions: str, found: list[_Found]) -> Board:
    rated = [(one, one.evaluation.rate()) for one in found]
    rated.sort(key=lambda each: -each[1].estimate)
    best = rated[0][0].evaluation
    better, worse = [0] * len(rated), [0] * len(rated)
    for above, below in combinations(range(len(rated)), 2):
        if _is_better(*rated[above], *rated[below]):
            worse[above] += 1
            better[below] += 1
    return Board(
        title=title,
        env_id=best.env_id,
        split=best.split.value,
        conditions=conditions,
        entries=tuple(
            _entry(one, (1 + better[place], len(rated) - worse[place]), best if place else None)
            for place, (one, _) in enumerate(rated)
        ),
    )


def _is_better(one: _Found, rate: Rate, other: _Found, others_rate: Rate) -> bool:
    try:
        return verdict(other.evaluation, one.evaluation) is Verdict.BETTER
    except UsageError:  # other tasks or seeds: the two cannot be paired
        return rate.low > others_rate.high


def _entry(found: _Found, places: tuple[int, int], best: Evaluation | None) -> Entry:
    evaluation = found.evaluation
    k = evaluation.pass_ks[-1]
    beside_best = None if best is None else _verdict(best, evaluation)
    return Entry(
        places=places,
        run=found.run,
        path=str(found.path),
        agent=evaluation.agent,
        created=evaluation.created,
        success=evaluation.rate(),
        passes=evaluation.pass_rates(k) if k > 1 else None,
        lost=sum(evaluation.lost.values()),
        missing=evaluation.missing,
        tokens=evaluation.mean_sampled_tokens,
        cost=evaluation.cost,
        beside_best=beside_best,
        paired=best is None or beside_best is not None,
    )


def _verdict(best: Evaluation, other: Evaluation) -> Verdict | None:
    try:
        return verdict(best, other)
    except UsageError:
        return None
