"""What a desktop shows, as text: windows, and the elements of the one in front, numbered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentgym.environments.desktop.box import HEIGHT, WIDTH
from agentgym.environments.desktop.screen import Window

MOST_ELEMENTS = 100
_LONGEST_NAME = 60
_TOLD = ("focused", "checked", "selected")


@dataclass(frozen=True, slots=True)
class Element:
    """A thing on the screen that can be pointed at."""

    role: str
    name: str
    middle: tuple[int, int]
    """Pixels from the left and from the top."""
    enabled: bool


@dataclass(frozen=True, slots=True)
class View:
    """What an observation shows."""

    text: str
    elements: Mapping[int, Element]
    titles: Sequence[str]
    """Of the windows."""


def view(windows: Sequence[Window], nodes: Sequence[Mapping[str, Any]]) -> View:
    """Write windows and AT-SPI's nodes down. Elements are those of the active window, and of menus and the like."""
    lines = [f"Window{' (in front)' if window.active else ''}: {window.title}" for window in windows]
    if not lines:
        lines = ["No window is open."]
    elements: dict[int, Element] = {}
    front = next((window.title for window in windows if window.active), "")
    named = any(
        node["window"] and node["name"] == front for node in nodes
    )  # dialogs may have titles X alone knows
    left_out, shown = 0, False
    for node in nodes:
        if node["window"]:
            mine = node["name"] == front if named else "active" in node["marks"]
            shown = mine or node["role"] == "window"
            continue
        x, y, width, height = node["box"]
        middle = (x + width // 2, y + height // 2)
        if not shown or width <= 0 or height <= 0 or not (0 <= middle[0] < WIDTH and 0 <= middle[1] < HEIGHT):
            continue
        if len(elements) >= MOST_ELEMENTS:
            left_out += 1
            continue
        number = len(elements) + 1
        elements[number] = Element(node["role"], node["name"], middle, node["enabled"])
        lines.append(_line(number, node))
    if left_out:
        lines.append(f"({left_out} more elements)")
    if front and not elements:
        lines.append("(The window in front says nothing of what it contains; look at the picture.)")
    return View("\n".join(lines), elements, [window.title for window in windows])


def _line(number: int, node: Mapping[str, Any]) -> str:
    name = " ".join(str(node["name"]).split())[:_LONGEST_NAME]
    words = [str(number), node["role"], *([f'"{name}"'] if name else [])]
    if "text" in node:
        words.append(f"= {node['text']!r}")
    marks = [mark for mark in _TOLD if mark in node["marks"]] + ([] if node["enabled"] else ["disabled"])
    return " ".join(words) + (f" ({', '.join(marks)})" if marks else "")
