"""A page as text: Chromium's accessibility tree, one node a line, with the number to act on it by.

As in WebArena and BrowserGym: `[12] button 'Buy'`, children indented by a tab, states after the name. Numbers
count the nodes shown, from 1, so that equal pages look equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

_NEVER = frozenset({"InlineTextBox", "LineBreak", "ListMarker"})
_PLAIN = frozenset({"generic", "none", "RootWebArea", "MenuListPopup", "paragraph", "LabelText", "form"})
"""Boxes that say nothing by themselves; their children take their place unless they have a name or the focus."""
_CLOSED = frozenset({"textbox", "searchbox", "Date", "DateTime", "InputTime", "ColorWell"})
"""Fields whose inside repeats their value."""
_STATES = ("focused", "disabled", "selected", "required")
_VALUES = ("checked", "pressed", "expanded")
_NAME_CHARS = 300


@dataclass(frozen=True, slots=True)
class Element:
    """A node that was shown."""

    id: int
    role: str
    name: str
    node: int
    """Chromium's `backendDOMNodeId`, which stays with the element as long as it is there."""


class Tree(NamedTuple):
    """A page as text, with what its numbers stand for."""

    text: str
    elements: Mapping[int, Element]
    title: str = ""


def read_tree(nodes: Sequence[Mapping[str, Any]], max_chars: int) -> Tree:
    """Write the nodes of `Accessibility.getFullAXTree` down, at most `max_chars` characters of them."""
    by_id = {node["nodeId"]: node for node in nodes}
    lines: list[str] = []
    elements: dict[int, Element] = {}
    left = max_chars
    unseen = 0
    # Depth first without recursion: pages may nest as deep as they like.
    waiting: list[tuple[Mapping[str, Any], int, str]] = [(nodes[0], 0, "")] if nodes else []
    while waiting:
        node, depth, above = waiting.pop()
        role, name = _role(node), _name(node)
        shown = _is_shown(node, role, name, above)
        if shown and left > 0:
            element = Element(len(elements) + 1, role, name, node.get("backendDOMNodeId", 0))
            elements[element.id] = element
            lines.append("\t" * depth + _line(element, node))
            left -= len(lines[-1]) + 1
        else:
            unseen += shown
        if role not in _NEVER and role not in _CLOSED:
            below = (depth + 1, name) if shown else (depth, above)
            children = [by_id[child] for child in node.get("childIds", ()) if child in by_id]
            waiting.extend((child, *below) for child in reversed(children))
    if unseen:
        lines.append(f"... and {unseen} more, left out: the page is too long.")
    return Tree("\n".join(lines), elements, _name(nodes[0]) if nodes else "")


def _role(node: Mapping[str, Any]) -> str:
    return str(node.get("role", {}).get("value", ""))


def _name(node: Mapping[str, Any]) -> str:
    name = " ".join(str(node.get("name", {}).get("value", "")).split())
    return name if len(name) <= _NAME_CHARS else f"{name[:_NAME_CHARS]}..."


def _is_shown(node: Mapping[str, Any], role: str, name: str, above: str) -> bool:
    if node.get("ignored") or role in _NEVER or role == "RootWebArea":
        return False
    if role == "StaticText":
        return bool(name) and name != above
    if role in _PLAIN:
        return bool(name) or _properties(node).get("focusable") is True
    return True


def _line(element: Element, node: Mapping[str, Any]) -> str:
    properties = _properties(node)
    parts = [f"[{element.id}] {element.role} {element.name!r}"]
    value = str(node.get("value", {}).get("value", ""))
    if value and value != element.name:
        parts.append(f"value={value[:_NAME_CHARS]!r}")
    parts += [state for state in _STATES if properties.get(state) is True]
    parts += [f"{state}={properties[state]}".lower() for state in _VALUES if state in properties]
    return ", ".join(parts)


def _properties(node: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry["value"].get("value") for entry in node.get("properties", ())}
