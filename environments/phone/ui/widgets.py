"""What screens are declared of. Each widget knows its height, and places itself as nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from agentgym.environments.phone.ui.node import WIDTH, Bounds, Handler, Node

MARGIN = 16
_LINE, _CHARACTERS = 20, 36
"""Height of a line of running text, and how many characters fit in one."""


class Widget(Protocol):
    """Something that takes part of the screen from left to right."""

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        ...

    def place(self, top: int) -> Node:
        """Return it as nodes with its upper edge at `top`."""
        ...


def _row(top: int, height: int) -> Bounds:
    return Bounds(0, top, WIDTH, top + height)


def wrap(text: str, width: int = _CHARACTERS) -> list[str]:
    """Return running text in lines of at most `width` characters, broken at spaces where there are any."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            while len(word) > width:
                lines += [line] if line else []
                line, word = word[:width], word[width:]
                lines.append(line)
                line = ""
            if line and len(line) + 1 + len(word) > width:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    return lines


@dataclass(frozen=True, slots=True)
class Text:
    """Running text, in as many lines as it takes."""

    text: str

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return _LINE * len(wrap(self.text)) + 8

    def place(self, top: int) -> Node:
        """Return it as nodes."""
        bounds = Bounds(MARGIN, top + 4, WIDTH - MARGIN, top + self.height - 4)
        return Node("android.widget.TextView", bounds, self.text, style="text")


@dataclass(frozen=True, slots=True)
class Heading:
    """A line above a group."""

    text: str

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return 30

    def place(self, top: int) -> Node:
        """Return it as nodes."""
        bounds = Bounds(MARGIN, top + 4, WIDTH - MARGIN, top + 26)
        return Node("android.widget.TextView", bounds, self.text, style="heading")


@dataclass(frozen=True, slots=True)
class Item:
    """A row of a list: a title, a line below it, and what tapping and holding it does."""

    title: str
    detail: str = ""
    on_tap: Handler | None = None
    on_hold: Handler | None = None

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return 54 if self.detail else 44

    def place(self, top: int) -> Node:
        """Return it as nodes."""
        right = WIDTH - MARGIN
        texts = [
            Node(
                "android.widget.TextView", Bounds(MARGIN, top + 8, right, top + 28), self.title, style="title"
            )
        ]
        if self.detail:
            below = Bounds(MARGIN, top + 29, right, top + 47)
            texts.append(Node("android.widget.TextView", below, self.detail, style="detail"))
        return Node(
            "android.widget.LinearLayout",
            _row(top, self.height),
            children=texts,
            clickable=self.on_tap is not None,
            long_clickable=self.on_hold is not None,
            focusable=True,
            style="row",
            on_tap=self.on_tap,
            on_hold=self.on_hold,
        )


@dataclass(frozen=True, slots=True)
class Switch:
    """Something that is on or off; `radio` for one choice out of several."""

    label: str
    on: bool
    on_tap: Handler
    radio: bool = False

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return 44

    def place(self, top: int) -> Node:
        """Return it as nodes."""
        return Node(
            "android.widget.RadioButton" if self.radio else "android.widget.Switch",
            _row(top, self.height),
            self.label,
            clickable=True,
            checkable=True,
            checked=self.on,
            focusable=True,
            style="radio" if self.radio else "switch",
            on_tap=self.on_tap,
        )


@dataclass(frozen=True, slots=True)
class Field:
    """A line to type in. `description` is its label; a focused one takes what is typed."""

    label: str
    value: str
    focused: bool
    on_tap: Handler
    password: bool = False

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return 52

    def place(self, top: int) -> Node:
        """Return it as nodes."""
        return Node(
            "android.widget.EditText",
            Bounds(MARGIN, top + 4, WIDTH - MARGIN, top + 48),
            self.value,
            self.label,
            clickable=True,
            focusable=True,
            focused=self.focused,
            password=self.password,
            style="field",
            on_tap=self.on_tap,
        )


@dataclass(frozen=True, slots=True)
class Button:
    """A button across the screen."""

    label: str
    on_tap: Handler

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return 48

    def place(self, top: int) -> Node:
        """Return it as nodes."""
        bounds = Bounds(MARGIN, top + 4, WIDTH - MARGIN, top + 44)
        return Node(
            "android.widget.Button",
            bounds,
            self.label,
            clickable=True,
            focusable=True,
            style="button",
            on_tap=self.on_tap,
        )


@dataclass(frozen=True, slots=True)
class Slider:
    """A value from 0 to 100, set by touching or swiping along it."""

    label: str
    value: int
    on_slide: Callable[[float], None]

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return 56

    def place(self, top: int) -> Node:
        """Return it as nodes."""
        return Node(
            "android.widget.SeekBar",
            Bounds(MARGIN, top + 4, WIDTH - MARGIN, top + 52),
            str(self.value),
            self.label,
            focusable=True,
            style="slider",
            on_slide=self.on_slide,
        )


@dataclass(frozen=True, slots=True)
class Icon:
    """A picture with a name: an application on the home screen, or an action in the bar above."""

    label: str
    on_tap: Handler
    tint: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """Icons in rows of three."""

    icons: Sequence[Icon]

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return 104 * -(-len(self.icons) // 3)

    def place(self, top: int) -> Node:
        """Return it as nodes."""
        cells: list[Node] = []
        for number, icon in enumerate(self.icons):
            row, column = divmod(number, 3)
            bounds = Bounds(120 * column, top + 104 * row, 120 * column + 120, top + 104 * row + 104)
            cells.append(
                Node(
                    "android.widget.TextView",
                    bounds,
                    icon.label,
                    clickable=True,
                    focusable=True,
                    style="icon",
                    tint=icon.tint,
                    on_tap=icon.on_tap,
                )
            )
        return Node("android.view.ViewGroup", _row(top, self.height), children=cells)


AnyWidget: TypeAlias = Text | Heading | Item | Switch | Field | Button | Slider | Grid


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen: a bar with a title and actions, and rows that scroll. A dialog covers only what it needs."""

    title: str
    rows: Sequence[Widget]
    actions: Sequence[Icon] = ()
    dialog: bool = False
    typing: bool = False
    """Whether the first empty field takes what is typed as soon as the screen opens."""
