"""The list of a run's episodes: searched, filtered, and paged by key, so that the last page costs what the first does.

Filters look at indexes (`episodes_in_order`, `episodes_with_error`, `turns_by_action`) and never at the rows, except
those of the page itself. Text that is rare is looked for in so many episodes at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, text

from agentgym.core.errors import UsageError
from agentgym.core.trace import Outcome
from agentgym.serving.viewer.library import Library
from agentgym.serving.viewer.runs import Summary, summary
from agentgym.store.queries import episode_counts

PAGE = 50
"""Episodes on a page."""
SEARCHED = 12_000
"""Episodes whose actions one page looks through."""


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
    """Whether the search stopped because it had looked through as many episodes as one page may."""


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


def find_episodes(connection: Connection, run_id: str, search: Search) -> Page:
    """Return the episodes that match, below `search.before`."""
    values: dict[str, Any] = {"run": run_id, "limit": PAGE + 1, "floor": 0, **values_of(search)}
    unfinished = False
    if search.action:
        values["floor"] = _floor(connection, run_id, values["before"])
    pks = list(connection.execute(text(statement_of(search)), values).scalars())
    more = pks[PAGE - 1] if len(pks) > PAGE else None
    if more is None and values["floor"]:
        more, unfinished = values["floor"], True
    return Page(_rows(connection, pks[:PAGE]), more, unfinished)


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
    """Return the number of the last episode that this page looks through; 0 where it comes to the first."""
    statement = text(
        "SELECT pk FROM episodes INDEXED BY episodes_in_order WHERE run_id = :run AND pk < :before "
        "ORDER BY pk DESC LIMIT 1 OFFSET :searched"
    )
    found = connection.execute(statement, {"run": run_id, "before": before, "searched": SEARCHED}).scalar()
    return (found or -1) + 1


def _rows(connection: Connection, pks: Sequence[int]) -> list[Mapping[Any, Any]]:
    statement = text(
        "SELECT pk, id, group_id, task_id, phase, iteration, outcome, score, stop_reason, n_turns, sampled_tokens, "
        "substr(error, 1, 400) AS error FROM episodes WHERE pk = :pk"
    )
    rows = (connection.execute(statement, {"pk": pk}).mappings().first() for pk in pks)
    return [row for row in rows if row is not None]
