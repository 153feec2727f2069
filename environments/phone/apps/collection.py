"""What most applications are made of: a list of things, each shown, edited and deleted on screens of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from agentgym.environments.phone.app import Change, Context, View
from agentgym.environments.phone.expert import Move, Route, Stage, fill, hold, tap
from agentgym.environments.phone.store import Row, Store, Value
from agentgym.environments.phone.ui.widgets import (
    Button,
    Field,
    Icon,
    Item,
    Screen,
    Switch,
    Text,
    Widget,
    wrap,
)

Check = Callable[[str], str]
"""Returns what is wrong with a text that was typed; empty where nothing is."""

_LINES_A_TEXT = 8
"""Lines of running text in one row, so that long texts scroll."""


@dataclass(frozen=True)
class FormField:
    """A column that is typed in a form."""

    label: str
    column: str
    required: bool = False
    check: Check = lambda text: ""


@dataclass(frozen=True)
class Toggle:
    """A column that is 0 or 1, switched where the thing is shown."""

    label: str
    column: str


@dataclass(frozen=True)
class Choice:
    """A column with one of a few values, chosen in a dialog where the thing is shown."""

    label: str
    column: str
    options: tuple[str, ...]


def running(text: str) -> list[Text]:
    """Return a long text as rows that scroll."""
    lines = wrap(text)
    return [
        Text("\n".join(lines[start : start + _LINES_A_TEXT])) for start in range(0, len(lines), _LINES_A_TEXT)
    ]


def dialog(title: str, *buttons: Item | Button, text: str = "") -> Screen:
    """Return a dialog."""
    return Screen(title, [*([Text(text)] if text else []), *buttons], dialog=True)


@dataclass(frozen=True)
class Collection:
    """Things of one table. The first field names a thing, and no two things have the same name.

    Screens are called `list_screen`, `NOUN`, `NOUN_form`, `NOUN_delete` and `NOUN_COLUMN` (for choices).
    """

    app: str
    table: str
    noun: str
    fields: tuple[FormField, ...]
    toggles: tuple[Toggle, ...] = ()
    choices: tuple[Choice, ...] = ()
    title: str = ""
    """Of the list."""
    detail: Callable[[Row], str] = lambda row: ""
    """The second line in the list."""
    order: str = "id"
    list_screen: str = "main"
    search: bool = False
    creatable: bool = True
    held: bool = False
    """Things are deleted by holding them in the list; otherwise, where they are shown."""
    deletable: bool = True
    path: tuple[Stage, ...] = ()
    """The way to the list."""
    references: tuple[tuple[str, str], ...] = ()
    """Tables and columns that hold names of these things; they follow when one is renamed or deleted."""
    extra: Callable[[Context, Row], Sequence[Widget]] = lambda ui, row: ()
    """More rows where a thing is shown."""
    head: Callable[[Context], Sequence[Widget]] = lambda ui: ()
    """Rows above the list."""

    @property
    def name(self) -> str:
        """The column that names a thing."""
        return self.fields[0].column

    def screens(self) -> dict[str, View]:
        """Return the screens by name."""
        choices = {f"{self.noun}_{choice.column}": self._chooser(choice) for choice in self.choices}
        return {
            self.list_screen: self._list,
            self.noun: self._show,
            f"{self.noun}_form": self._form,
            f"{self.noun}_delete": self._delete,
            **choices,
        }

    # --- screens ------------------------------------------------------------------------------------

    def _list(self, ui: Context) -> Screen:
        rows: list[Widget] = list(self.head(ui))
        if self.search:
            rows.append(ui.field("Search"))
        sought = ui.typed("Search").casefold()
        things = [row for row in ui.db.rows(self.table, self.order) if sought in row[self.name].casefold()]
        for row in things:
            delete = ui.opens(f"{self.noun}_delete", id=row["id"]) if self.held else None
            opens = ui.opens(self.noun, id=row["id"])
            rows.append(Item(row[self.name], self.detail(row), opens, delete))
        if not things:
            rows.append(Text("Nothing here"))
        new = [Icon("New", ui.opens(f"{self.noun}_form"))] if self.creatable else []
        return Screen(self.title or self.app, rows, new)

    def _show(self, ui: Context) -> Screen:
        row = ui.row(self.table)
        rows: list[Widget] = []
        for field in self.fields[1:]:
            if row[field.column]:
                rows += running(f"{field.label}: {row[field.column]}")
        for toggle in self.toggles:
            switch = ui.sets(self.table, row["id"], **{toggle.column: 1 - row[toggle.column]})
            rows.append(Switch(toggle.label, bool(row[toggle.column]), switch))
        for choice in self.choices:
            opens = ui.opens(f"{self.noun}_{choice.column}", id=row["id"])
            rows.append(Item(choice.label, row[choice.column], opens))
        actions = [Icon("Edit", ui.opens(f"{self.noun}_form", id=row["id"]))] if self.creatable else []
        if self.deletable and not self.held:
            actions.append(Icon("Delete", ui.opens(f"{self.noun}_delete", id=row["id"])))
        return Screen(row[self.name], [*rows, *self.extra(ui, row)], actions)

    def _form(self, ui: Context) -> Screen:
        row = ui.row(self.table) if ui.arg("id") else None
        rows: list[Field] = [
            ui.field(field.label, str(row[field.column]) if row else "") for field in self.fields
        ]
        title = f"{'Edit' if row else 'New'} {self.noun}"
        return Screen(title, [*rows, Button("Save", lambda: self._save(ui))], typing=True)

    def _save(self, ui: Context) -> None:
        values = {field.column: ui.typed(field.label) for field in self.fields}
        for field in self.fields:
            value = values[field.column]
            problem = field.check(value) if value else f"{field.label} is missing" if field.required else ""
            if problem:
                return ui.phone.say(problem)
        row_id = ui.arg("id", 0)
        same = ui.db.rows(self.table, **{self.name: values[self.name]})
        if any(row["id"] != row_id for row in same):
            return ui.phone.say(f"There is a {self.noun} called {values[self.name]} already")
        if row_id:
            name = ui.row(self.table)[self.name]
            ui.db.update(self.table, row_id, **values)
            for table, column in self.references:
                for other in ui.db.rows(table, **{column: name}):
                    ui.db.update(table, other["id"], **{column: values[self.name]})
        else:
            ui.db.insert(self.table, **values)
        ui.phone.pop()
        return ui.phone.say("Saved")

    def _delete(self, ui: Context) -> Screen:
        row = ui.row(self.table)

        def delete() -> None:
            ui.db.delete(self.table, row["id"])
            for table, column in self.references:
                for other in ui.db.rows(table, **{column: row[self.name]}):
                    ui.db.delete(table, other["id"])
            ui.phone.pop(1 if self.held else 2)
            ui.phone.say("Deleted")

        title = f"Delete {row[self.name]}?"
        return dialog(title, Button("Delete", delete), Button("Cancel", ui.closes()))

    def _chooser(self, choice: Choice) -> View:
        def view(ui: Context) -> Screen:
            row = ui.row(self.table)
            return choose(
                ui, choice.label, choice.options, row[choice.column], self.table, row, choice.column
            )

        return view

    # --- the expert's ways --------------------------------------------------------------------------

    def routes(self, store: Store, change: Change) -> Route | None:
        """Return how a change in this table is made; None for one in another, or that no screen makes."""
        if change.table != self.table:
            return None
        before, after, args = change.before, change.after, {"id": change.row_id}
        if before is None:
            if not self.creatable or after is None:
                return None
            return self._route(
                self._at_list(tap("New")), Stage(f"{self.noun}_form", self._filled(after), {"id": None})
            )
        name = str(before[self.name])
        if after is None:
            if not self.deletable:
                return None
            confirm = Stage(f"{self.noun}_delete", tap("Delete"), args)
            if self.held:
                return self._route(self._at_list(hold(name)), confirm)
            return self._route(self._at_list(tap(name)), Stage(self.noun, tap("Delete"), args), confirm)
        return self._edit(name, change, args)

    def to_see(self, row: Row) -> Route:
        """Return the way to where a thing is shown."""
        return self._route(
            self._at_list(tap(row[self.name])), Stage(self.noun, lambda scene: None, {"id": row["id"]})
        )

    def _edit(self, name: str, change: Change, args: Mapping[str, int]) -> Route | None:
        to_it = self._at_list(tap(name))
        for toggle in self.toggles:
            if toggle.column in change.changed:
                return self._route(to_it, Stage(self.noun, tap(toggle.label), args))
        for choice in self.choices:
            if choice.column in change.changed:
                option = tap(str(change.changed[choice.column]))
                chooser = Stage(f"{self.noun}_{choice.column}", option, args)
                return self._route(to_it, Stage(self.noun, tap(choice.label), args), chooser)
        if not self.creatable or change.after is None:
            return None
        form = Stage(f"{self.noun}_form", self._filled(change.after), args)
        return self._route(to_it, Stage(self.noun, tap("Edit"), args), form)

    def _filled(self, values: Mapping[str, Value]) -> Move:
        wanted = {field.label: str(values.get(field.column, "")) for field in self.fields}
        return fill(wanted, tap("Save"))

    def _at_list(self, move: Move) -> Stage:
        return Stage(self.list_screen, move)

    def _route(self, *stages: Stage) -> Route:
        return Route(self.app, (*self.path, *stages))


def choose(
    ui: Context, title: str, options: Sequence[str], chosen: str, table: str, row: Row, column: str
) -> Screen:
    """Return a dialog that sets a column to one of some values and closes."""

    def sets(option: str) -> None:
        ui.db.update(table, row["id"], **{column: option})
        ui.phone.pop()

    switches = [Switch(option, option == chosen, partial(sets, option), radio=True) for option in options]
    return Screen(title, switches, dialog=True)
