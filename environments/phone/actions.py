"""What can be done on a phone, and how it is written: `tap Save`, `tap 5`, `tap 120 300`, `type milk`, `back`.

`tap(120, 300)` and `type("milk")` read the same as without parentheses, and so do the JSON actions of AndroidWorld.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from agentgym.core.errors import unknown_name_message

Target: TypeAlias = int | str | tuple[int, int]
"""An element by its number or name, or a point."""

VERBS = ("tap", "long_press", "swipe", "type", "back", "home", "open_app", "answer", "status", "wait")
DIRECTIONS = ("up", "down", "left", "right")
STATUSES = ("complete", "infeasible")

_CALL = re.compile(r"(\w+)\s*\((.*)\)", re.DOTALL)
_POINT = re.compile(r"(-?\d{1,6})(?:\s*,\s*|\s+)(-?\d{1,6})")
_LINE = re.compile(
    r"(-?\d{1,6})(?:\s*,\s*|\s+)(-?\d{1,6})(?:\s*,\s*|\s+)(-?\d{1,6})(?:\s*,\s*|\s+)(-?\d{1,6})"
)
_NUMBER = re.compile(r"\d{1,6}")


class Refusal(Exception):
    """What was asked for cannot be done; the text tells the agent why."""


@dataclass(frozen=True, slots=True)
class Command:
    """One action. Which fields mean something follows from the verb."""

    verb: str
    target: Target | None = None
    direction: str = ""
    end: tuple[int, int] | None = None
    """Where a swipe from point to point ends."""
    text: str = ""


def parse(action: str) -> Command:
    """Read an action; raises `Refusal` with what is wrong and what to write instead."""
    action = action.strip()
    if action.startswith("{"):
        return _from_json(action)
    called = _CALL.fullmatch(action)
    verb, _, rest = action.partition(" ")
    if called and called[1] in VERBS:
        verb, rest = called.groups()
    rest = rest.strip()
    if verb in ("back", "home", "wait"):
        if rest:
            raise Refusal(f"`{verb}` takes nothing after it.")
        return Command(verb)
    if verb in ("tap", "long_press"):
        return Command(verb, _target(rest, verb))
    if verb == "swipe":
        return _swipe(rest)
    if verb == "status":
        return _status(_unquoted(rest))
    if verb in ("type", "answer", "open_app"):
        return Command(verb, text=_writable(_unquoted(rest)))
    raise Refusal(unknown_name_message("action", verb[:40], VERBS))


def _target(text: str, verb: str) -> Target:
    if not text:
        raise Refusal(f"`{verb}` what? Write a name, a number of the list, or x and y.")
    point = _POINT.fullmatch(text)
    if point:
        return int(point[1]), int(point[2])
    if _NUMBER.fullmatch(text):
        return int(text)
    return _unquoted(text)


def _swipe(rest: str) -> Command:
    line = _LINE.fullmatch(rest)
    if line:
        left, top, right, bottom = map(int, line.groups())
        return Command("swipe", (left, top), _direction(right - left, bottom - top), (right, bottom))
    direction, _, target = rest.replace(",", " ", 1).partition(" ")
    direction = _unquoted(direction)
    if direction not in DIRECTIONS:
        raise Refusal(f"`swipe` needs up, down, left or right, or four coordinates; got {rest[:40]!r}.")
    target = target.strip()
    return Command("swipe", _target(target, "swipe") if target else None, direction)


def _direction(across: int, down: int) -> str:
    if abs(across) > abs(down):
        return "right" if across > 0 else "left"
    return "down" if down > 0 else "up"


def _status(word: str) -> Command:
    if word not in STATUSES:
        raise Refusal(f"`status` is complete or infeasible; got {word[:40]!r}.")
    return Command("status", text=word)


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


def _writable(text: str) -> str:
    """Return the text as a keyboard would bring it: control characters but line breaks are left out."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Refusal("Half a surrogate pair is no text.")
    return "".join(character for character in text if character.isprintable() or character == "\n")


_ANDROID_WORLD = {
    "click": "tap",
    "double_tap": "tap",
    "long_press": "long_press",
    "input_text": "type",
    "scroll": "swipe",
    "swipe": "swipe",
    "navigate_back": "back",
    "navigate_home": "home",
    "open_app": "open_app",
    "answer": "answer",
    "status": "status",
    "wait": "wait",
}
# A view that scrolls down is swiped up.
_OPPOSITE = {"up": "down", "down": "up", "left": "right", "right": "left"}


def _from_json(action: str) -> Command:
    """Read `{"action_type": "click", "index": 3}` and its like."""
    try:
        data: Any = json.loads(action)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"This begins like JSON and is none: {str(error)[:100]}") from None
    fields = cast("Mapping[str, Any]", data)
    kind = str(fields.get("action_type", ""))
    if kind not in _ANDROID_WORLD:
        raise Refusal(unknown_name_message("action_type", kind[:40], _ANDROID_WORLD))
    verb = _ANDROID_WORLD[kind]
    target: Target | None = None
    if isinstance(fields.get("index"), int):
        target = int(fields["index"])
    elif isinstance(fields.get("x"), int) and isinstance(fields.get("y"), int):
        target = int(fields["x"]), int(fields["y"])
    if verb in ("tap", "long_press"):
        if target is None:
            raise Refusal(f"{kind!r} needs an index, or x and y.")
        return Command(verb, target)
    if verb == "swipe":
        direction = str(fields.get("direction", ""))
        if direction not in DIRECTIONS:
            raise Refusal(f"{kind!r} needs a direction: {', '.join(DIRECTIONS)}.")
        return Command(verb, target, _OPPOSITE[direction] if kind == "scroll" else direction)
    if verb == "status":
        return _status({"task_complete": "complete"}.get(word := str(fields.get("goal_status")), word))
    text = str(fields.get("app_name" if verb == "open_app" else "text", ""))
    return Command(verb, target if verb == "type" else None, text=_writable(text))
