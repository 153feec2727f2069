"""What templates are written with: choosing from the phone's content, arranging it, and saying what should change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, TypeAlias

from agentgym.environments.phone.expert import Route
from agentgym.environments.phone.goals import Clue, Goal, Target
from agentgym.environments.phone.store import Content, Row, Store, Value


class Level(StrEnum):
    """How much there is to do."""

    EASY = "easy"
    """One change by touch alone."""
    MEDIUM = "medium"
    """Typing, reading, or several changes in one application."""
    HARD = "hard"
    """Several applications."""


class Draft:
    """A goal being drawn. Nothing here fails: what a template needs is arranged before the episode begins."""

    def __init__(self, store: Store, random: Random) -> None:
        self.store = store
        self.random = random
        self._clues: list[Clue] = []
        self._changes: list[tuple[str, Row | None, dict[str, Value] | None]] = []

    # --- choosing and arranging ---------------------------------------------------------------------

    def some(self, table: str, count: int) -> list[Row]:
        """Return rows of a table, in random order."""
        return self.random.sample(self.store.rows(table), count)

    def one(self, table: str, **having: Value) -> Row:
        """Return a row of a table, which is given these values where it has others."""
        row = self.random.choice(self.store.rows(table))
        return self.arrange(table, row, **having) if having else row

    def arrange(self, table: str, row: Row, **values: Value) -> Row:
        """Give a row values before the episode begins, and return it as it is then."""
        self.store.update(table, row["id"], **values)
        return self.store.rows(table, id=row["id"])[0]

    def choice(self, options: Sequence[str], other_than: str = "") -> str:
        """Return one of the options."""
        return self.random.choice([option for option in options if option != other_than])

    def fresh(self, table: str, column: str, draw: Callable[[Random], str] | Sequence[str]) -> str:
        """Return a value that no row of a table has in a column."""
        known = {row[column] for row in self.store.rows(table)}
        while True:
            value = draw(self.random) if callable(draw) else self.random.choice(draw)
            if value not in known:
                return value

    # --- what should change -------------------------------------------------------------------------

    def add(self, table: str, **values: Value) -> None:
        """A row should be added."""
        self._changes.append((table, None, values))

    def change(self, table: str, row: Row, **values: Value) -> None:
        """A row should have other values."""
        self._changes.append((table, row, values))

    def remove(self, table: str, row: Row) -> None:
        """A row should be gone."""
        self._changes.append((table, row, None))

    def read(self, route: Route, *, to_end: bool = False) -> None:
        """A screen has to be read first."""
        self._clues.append(Clue(route, to_end))

    def goal(self, *wordings: str, answer: str = "", infeasible: bool = False, **names: Any) -> Goal:
        """Return the goal, in one of the wordings, with `names` put in."""
        instruction = self.random.choice(wordings).format(**names)
        tables = list(dict.fromkeys([*(table for table, _, _ in self._changes), *self.store.tables]))
        targets = {
            name: self._target(name)
            for name in tables
            if set(self.store.tables[name].columns) - self.store.tables[name].unimportant
        }
        return Goal(instruction, targets, answer, infeasible, tuple(self._clues))

    def _target(self, name: str) -> Target:
        table = self.store.tables[name]
        rows = dict(self.store.contents(name))
        added: list[Content] = []
        for changed, row, values in self._changes:
            if changed != name:
                continue
            if row is None:
                added.append(table.content(values or {}))
            elif values is None:
                del rows[row["id"]]
            else:
                rows[row["id"]] = table.content({**table.named(rows[row["id"]]), **values})
        return Target(rows, added)


Build: TypeAlias = Callable[[Draft], Goal]


@dataclass(frozen=True)
class Template:
    """A kind of task."""

    name: str
    level: Level
    build: Build
    heldout: bool
    """Whether train and select never show it."""
    app: str
    """The application it is about; empty for those over several."""


class Family:
    """The templates about one application (none for those over several), in the order in which they are written.

    `@template(name, level)` announces one, where `template = family.template`.
    """

    def __init__(self, app: str = "") -> None:
        self.app = app
        self.templates: list[Template] = []

    def template(self, name: str, level: Level, *, heldout: bool = False) -> Callable[[Build], Build]:
        """Return the decorator of a template's function."""

        def announce(build: Build) -> Build:
            self.templates.append(Template(name, level, build, heldout, self.app))
            return build

        return announce
