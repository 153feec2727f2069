"""Actions in a browser as text, such as `click(12)` or `fill(7, "green tea")`: names and arguments as in BrowserGym.

Read strictly: one call, arguments in order, numbers and quoted texts only. Nothing is evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentgym.core.errors import unknown_name_message

Kind = Literal["id", "number", "index", "text"]
Argument: TypeAlias = int | float | str

MAX_CHARS = 16_384
"""Longest action that is read."""


class BadAction(Exception):
    """A text that is no action; the message says what one looks like."""


@dataclass(frozen=True)
class Verb:
    """What can be done: its arguments by name and kind, and in words what it does."""

    name: str
    arguments: tuple[tuple[str, Kind], ...]
    does: str
    more: bool = False
    """Whether the last argument may be repeated."""

    @property
    def usage(self) -> str:
        """Such as `fill(id, text)`."""
        names = [name for name, _ in self.arguments] + (["..."] if self.more else [])
        return f"{self.name}({', '.join(names)})"


_ID: tuple[str, Kind] = ("id", "id")
_POINT: tuple[tuple[str, Kind], ...] = (("x", "number"), ("y", "number"))

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("click", (_ID,), "click an element"),
        Verb("dblclick", (_ID,), "click an element twice"),
        Verb("hover", (_ID,), "move the pointer onto an element"),
        Verb("fill", (_ID, ("text", "text")), "replace what a field contains"),
        Verb("select_option", (_ID, ("option", "text")), "choose options of a list", more=True),
        Verb("press", (_ID, ("key", "text")), 'press a key such as "Enter" or "Control+a" in an element'),
        Verb("drag_and_drop", (("from_id", "id"), ("to_id", "id")), "drag an element onto another"),
        Verb("scroll", (("dx", "number"), ("dy", "number")), "scroll by so many pixels"),
        Verb("mouse_move", _POINT, "move the pointer"),
        Verb("mouse_click", _POINT, "click at a point"),
        Verb("mouse_dblclick", _POINT, "click twice at a point"),
        Verb("mouse_down", _POINT, "press the button at a point"),
        Verb("mouse_up", _POINT, "let go of the button at a point"),
        Verb(
            "mouse_drag_and_drop",
            (("from_x", "number"), ("from_y", "number"), ("to_x", "number"), ("to_y", "number")),
            "drag from a point to another",
        ),
        Verb("keyboard_press", (("key", "text"),), "press a key"),
        Verb("keyboard_type", (("text", "text"),), "type a text, key by key"),
        Verb("goto", (("url", "text"),), "go to an address"),
        Verb("go_back", (), "go back to the page before"),
        Verb("go_forward", (), "go forward again"),
        Verb("new_tab", (), "open a tab"),
        Verb("tab_focus", (("index", "index"),), "change to a tab"),
        Verb("tab_close", (), "close the tab"),
        Verb("noop", (), "do nothing"),
    )
}


@dataclass(frozen=True, slots=True)
class Call:
    """An action, read."""

    verb: str
    arguments: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        return f"{self.verb}({', '.join(json.dumps(value, ensure_ascii=False) for value in self.arguments)})"


_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\((.*)\)\s*", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[-+]?\d+(?:\.\d+)?)|(?P<double>"(?:[^"\\]|\\.)*")|'(?P<single>(?:[^'\\]|\\.)*)')\s*(?P<end>,|$)""",
    re.DOTALL,
)


def parse(text: str, verbs: Mapping[str, Verb] = VERBS) -> Call:
    """Read an action with one of the verbs; raises `BadAction`.

    >>> parse('fill(7, "green tea")')
    Call(verb='fill', arguments=(7, 'green tea'))
    """
    if len(text) > MAX_CHARS:
        raise BadAction(f"The action has {len(text)} characters; at most {MAX_CHARS} are read.")
    found = _CALL.fullmatch(text.encode("utf-8", "replace").decode())
    if found is None:
        raise BadAction(f"{text.strip()!r:.80} is no action. Write one call, such as click(12).")
    name, inside = found.groups()
    verb = verbs.get(name)
    if verb is None:
        raise BadAction(unknown_name_message("action", name, verbs))
    values = _arguments(inside, verb)
    wanted = len(verb.arguments)
    if len(values) < wanted or (len(values) > wanted and not verb.more):
        raise BadAction(f"{name} takes {_count(verb)}, got {len(values)}: write {verb.usage}.")
    kinds = [*verb.arguments, *verb.arguments[-1:] * (len(values) - wanted)]
    return Call(name, tuple(_fit(value, kind, verb) for value, kind in zip(values, kinds, strict=True)))


def _arguments(inside: str, verb: Verb) -> list[Argument]:
    values: list[Argument] = []
    position = 0
    more = bool(inside.strip())
    while more:
        found = _TOKEN.match(inside, position)
        if found is None:
            raise BadAction(
                f"{inside[position:].strip()!r:.60} cannot be read as an argument of {verb.name}: write "
                f"{verb.usage} with numbers as they are and texts in quotes."
            )
        values.append(_value(found))
        position, more = found.end(), found["end"] == ","
    return values


def _value(found: re.Match[str]) -> Argument:
    if found["number"] is not None:
        number = found["number"]
        return float(number) if "." in number else int(number[:20])
    quoted = found["double"]
    if quoted is None:
        inner = found["single"].replace("\\'", "'")
        quoted = '"' + re.sub(r'(?<!\\)"', r"\"", inner) + '"'
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        raise BadAction(
            f"The text {quoted!r:.60} has a backslash that means nothing; write it twice."
        ) from None


def _fit(value: Argument, argument: tuple[str, Kind], verb: Verb) -> Argument:
    name, kind = argument
    match kind:
        case "id" | "index":
            if isinstance(value, str) and value.isascii() and value.isdigit():
                value = int(value[:20])
            if isinstance(value, int) and value >= 0:
                return value
            raise BadAction(
                f"{name} in {verb.usage} is a whole number as shown on the page, got {value!r:.40}."
            )
        case "number":
            if not isinstance(value, str):
                return value
            raise BadAction(f"{name} in {verb.usage} is a number of pixels, got {value!r:.40}.")
        case "text":
            if isinstance(value, str):
                return value
            raise BadAction(f'{name} in {verb.usage} is a text in quotes: write "{value}".')


def _count(verb: Verb) -> str:
    count = len(verb.arguments)
    least = "at least " if verb.more else ""
    return f"{least}{count or 'no'} argument{'' if count == 1 else 's'}"
