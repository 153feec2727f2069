"""What an application is: tables, screens as functions of the state, and what they may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from agentgym.environments.phone.store import Row, Store, Table, Value
from agentgym.environments.phone.ui.node import Handler
from agentgym.environments.phone.ui.widgets import Field, Screen

if TYPE_CHECKING:
    from agentgym.environments.phone.expert import Route

LONGEST_TEXT = 1000
"""Characters that a field takes."""


@dataclass
class Frame:
    """One screen on the stack: which, of what, and what has been typed and scrolled there."""

    app: str
    screen: str
    args: dict[str, Any] = field(default_factory=dict[str, Any])
    fields: dict[str, str] = field(default_factory=dict[str, str])
    """What has been typed, by label, where it differs from what stood there at first."""
    focus: str = ""
    """The label of the field that takes what is typed."""
    first: int = 0
    """The row scrolled to."""

    def as_json(self) -> list[Any]:
        """Return the frame as JSON data, equal exactly for equal frames."""
        return [self.app, self.screen, self.args, dict(sorted(self.fields.items())), self.focus, self.first]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Frame:
        """Read what `as_json` wrote."""
        return cls(*data)


class Gone(Exception):
    """A screen shows something that is there no longer."""


class Phone(Protocol):
    """What screens may do to the device."""

    store: Store
    today: str
    clock: str

    def push(self, frame: Frame) -> None:
        """Show another screen above."""
        ...

    def pop(self, frames: int = 1) -> None:
        """Close screens, from the top."""
        ...

    def open(self, app: str) -> None:
        """Start an application, from the home screen."""
        ...

    def say(self, message: str) -> None:
        """Show a message for a moment."""
        ...

    def installed(self) -> Sequence[App]:
        """Return the applications that the home screen shows."""
        ...


class Context:
    """One screen being declared: its arguments, its fields, the database, and ways to other screens."""

    def __init__(self, phone: Phone, frame: Frame) -> None:
        self.phone = phone
        self.db = phone.store
        self.frame = frame
        self.initial: dict[str, str] = {}
        """What stands in each field, from top to bottom, before anything is typed."""

    def arg(self, name: str, default: Any = None) -> Any:
        """Return an argument that the screen was opened with."""
        return self.frame.args.get(name, default)

    def row(self, table: str) -> Row:
        """Return the row that the screen is about (its argument `id`); raises `Gone` where it was removed."""
        found = self.db.row(table, self.arg("id", 0))
        if found is None:
            raise Gone
        return found

    def opens(self, screen: str, app: str = "", **args: Any) -> Handler:
        """Return a handler that opens a screen, of this application or another."""
        return lambda: self.phone.push(Frame(app or self.frame.app, screen, args))

    def sets(self, table: str, row_id: int, **values: Value) -> Handler:
        """Return a handler that changes columns of a row."""
        return lambda: self.db.update(table, row_id, **values)

    def closes(self, frames: int = 1) -> Handler:
        """Return a handler that closes screens."""
        return lambda: self.phone.pop(frames)

    def field(self, label: str, initial: str = "", *, password: bool = False) -> Field:
        """Return a field to type in; what was typed is kept with the frame."""
        self.initial[label] = initial
        frame = self.frame

        def focus() -> None:
            frame.focus = label

        value = frame.fields.get(label, initial)
        return Field(label, value, frame.focus == label, focus, password)

    def typed(self, label: str) -> str:
        """Return what stands in a field, without blanks around it."""
        return self.frame.fields.get(label, self.initial.get(label, "")).strip()


View: TypeAlias = Callable[[Context], Screen]


@dataclass(frozen=True)
class Change:
    """A row as it is and as it should be; None for one that is not there."""

    table: str
    row_id: int
    """0 for a row to be added."""
    before: Mapping[str, Value] | None
    after: Mapping[str, Value] | None

    @property
    def changed(self) -> dict[str, Value]:
        """The columns of a row that are to get another value, with it."""
        before, after = self.before or {}, self.after or {}
        return {name: value for name, value in after.items() if before.get(name) != value}


@dataclass(frozen=True)
class App:
    """An application. `screens["main"]` is what opens first; `populate` fills its tables for a task."""

    name: str
    tint: str
    screens: Mapping[str, View]
    tables: Sequence[Table] = ()
    populate: Callable[[Store, Random], None] = lambda store, random: None
    routes: Callable[[Store, Change], Route | None] = lambda store, change: None
    """How an expert makes a change in the application's tables; None where no way leads there."""
