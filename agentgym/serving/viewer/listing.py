"""The list of a run's episodes: searched, filtered, and paged by key, so that the last page costs what the first does.

Filters look at indexes (`episodes_in_order`, `episodes_with_error`, `turns_by_action`) and never at the rows, except
those of the page itself. A rare action is looked for in a few thousand episodes after the other, for as long as a page may
take: all of a hundred thousand on an idle core, fewer on a busy one, and the next page goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, text

from agentgym.core.errors import UsageError
from agentgym.core.trace import Outcome
from agentgym.serving.viewer.library import Library
from agentgym.serving.viewer.runs import Summary, summary
from agentgym.store.queries import episode_counts

PAGE = 50
"""Episodes on a page."""
STRETCH = 2_000
"""Episodes whose actions are looked through at once."""
PATIENCE_S = 0.15
"""No stretch is begun after so many seconds."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for; empty fields match everything."""

    outcome: str = ""
    phase: str = ""
    task: str = ""
    """A part of the task's id."""
    action: str = ""
    """A part of an action, or of a tool call's JSON."""
    error: str = ""
    """A part of the error; `*` is any error."""
    before: str = ""
    """Only episodes written before this number."""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Search:
        """Read the fields from a URL; raises `UsageError` for a `before` that is no number."""
        search = cls(**{part.name: query.get(part.name, "").strip() for part in fields(cls)})
        if search.before and not (
            search.before.isascii() and search.before.isdigit() and len(search.before) < 19
        ):
            raise UsageError(f"`before` is the number of an episode, got {search.before!r}.")
        return search

    def query(self, before: int | None = None) -> dict[str, str]:
        """Return the search as a URL's fields, from an episode on if one is given."""
        chosen = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "before"}
        return {name: value for name, value in {**chosen, "before": str(before or "")}.items() if value}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of episodes, newest first."""

    episodes: Sequence[Mapping[Any, Any]]
    more: int | None
    """`before` of the next page; None: there is none."""
    unfinished: bool
    """Whether the search stopped because it had taken as long as one page may."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything on the page of a run's episodes."""

    summary: Summary
    page: Page
    phases: Sequence[str]
    outcomes: Sequence[str]


def listed(library: Library, name: str, run_id: str, search: Search) -> Listed:
    """Return a page of a run's episodes; raises as `summary` does."""
    about = summary(library, name, run_id)
    with library.reading(name) as connection:
        page = find_episodes(connection, run_id, search)
        phases = sorted({phase for phase, _ in episode_counts(connection, run_id)})
        return Listed(about, page, phases, [outcome.value for outcome in Outcome])


def find_episodes(
    connection: Connection, run_id: str, search: Search, patience_s: float = PATIENCE_S
) -> Page:
    """Return the episodes that match, below `search.before`."""
    give_up = perf_counter() + patience_s
    statement = text(statement_of(search))
    values: dict[str, Any] = {"run": run_id, **values_of(search)}
    pks: list[int] = []
    while True:
        values["floor"] = _floor(connection, run_id, values["before"]) if search.action else 0
        values["limit"] = PAGE + 1 - len(pks)
        pks += connection.execute(statement, values).scalars()
        if len(pks) > PAGE:
            return Page(_rows(connection, pks[:PAGE]), pks[PAGE - 1], unfinished=False)
        if values["floor"] == 0:
            return Page(_rows(connection, pks), None, unfinished=False)
        if perf_counter() >= give_up:
            return Page(_rows(connection, pks), values["floor"], unfinished=True)
        values["before"] = values["floor"]


def statement_of(search: Search) -> str:
    """Return the query for the numbers of a page's episodes; what was typed is in `values_of`."""
    index = "episodes_with_error" if search.error else "episodes_in_order"
    conditions = ["run_id = :run", "pk < :before", "pk >= :floor"]
    if search.outcome:
        conditions.append("outcome = :outcome")
    if search.phase:
        conditions.append("phase = :phase")
    if search.task:
        conditions.append("task_id LIKE :task ESCAPE '\\'")
    if search.error:
        conditions.append("error IS NOT NULL")
    if search.error not in ("", "*"):
        conditions.append("error LIKE :error ESCAPE '\\'")
    if search.action:
        conditions.append(
            "EXISTS (SELECT 1 FROM turns INDEXED BY turns_by_action WHERE episode_pk = pk AND "
            "(action LIKE :action ESCAPE '\\' OR action_json LIKE :action ESCAPE '\\'))"
        )
    where = " AND ".join(conditions)
    return f"SELECT pk FROM episodes INDEXED BY {index} WHERE {where} ORDER BY pk DESC LIMIT :limit"


def values_of(search: Search) -> dict[str, Any]:
    """Return what is bound in the query."""
    return {
        "outcome": search.outcome,
        "phase": search.phase,
        "task": _part(search.task),
        "action": _part(search.action),
        "error": _part(search.error),
        "before": int(search.before or 1 << 62),
    }


def _part(text: str) -> str:
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


def _floor(connection: Connection, run_id: str, before: int) -> int:
    """Return the number of the last episode of a stretch; 0 where it comes to the first."""
    statement = text(
        "SELECT pk FROM episodes INDEXED BY episodes_in_order WHERE run_id = :run AND pk < :before "
        "ORDER BY pk DESC LIMIT 1 OFFSET :stretch"
    )
    found = connection.execute(statement, {"run": run_id, "before": before, "stretch": STRETCH}).scalar()
    return (found or -1) + 1


def _rows(connection: Connection, pks: Sequence[int]) -> list[Mapping[Any, Any]]:
    statement = text(
        "SELECT pk, id, group_id, task_id, phase, iteration, outcome, score, stop_reason, n_turns, sampled_tokens, "
        "substr(error, 1, 400) AS error FROM episodes WHERE pk = :pk"
    )
    rows = (connection.execute(statement, {"pk": pk}).mappings().first() for pk in pks)
    return [row for row in rows if row is not None]
