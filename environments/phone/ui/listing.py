"""A screen as text: a compact numbered list of what can be touched, with the texts between.

Works on any view hierarchy: this phone's own, and what `uiautomator` tells of a real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentgym.environments.phone.ui.node import Node

LONGEST_NAME = 80
"""Characters of a text that are shown, and by which an element is called."""


@dataclass(slots=True)
class Element:
    """Something that can be touched: its number on the screen, its name, and what is beside the name."""

    number: int
    node: Node
    name: str
    detail: str

    def line(self) -> str:
        """Return the element's line in the list."""
        node = self.node
        if node.is_field:
            value = "*" * len(node.text) if node.password else _short(node.text)
            return f"{self.number} {self.name} = {value}{'|' if node.focused else ''}".rstrip()
        if node.is_slider:
            return f"{self.number} {self.name} = {node.text}"
        state = (" (on)" if node.checked else " (off)") if node.checkable else ""
        return f"{self.number} {self.name}{f' - {self.detail}' if self.detail else ''}{state}"


def read_screen(root: Node) -> tuple[list[Element], list[str]]:
    """Return the elements in reading order, and the lines of the whole screen."""
    elements: list[Element] = []
    lines: list[str] = []
    for node, element in _parts(root):
        if element:
            name, detail = _name(node)
            elements.append(Element(len(elements) + 1, node, name, detail))
            lines.append(elements[-1].line())
        elif node.text:
            lines.append(_short(node.text) if node.style != "text" else " ".join(node.text.split()))
    return elements, lines


def _parts(node: Node) -> Iterator[tuple[Node, bool]]:
    """Yield elements, and texts that belong to none; an element inside another stands after it."""
    if node.is_element:
        yield node, True
        for below in node.walk():
            if below is not node and below.is_element:
                yield below, True
        return
    yield node, False
    for child in node.children:
        yield from _parts(child)


def _name(node: Node) -> tuple[str, str]:
    """Return what an element is called and the rest of what it says."""
    if node.is_field or node.is_slider:
        return _short(node.description or node.resource_id.rpartition("/")[2] or "field"), ""
    own = node.text or node.description
    inside = [below.text or below.description for below in _texts(node)]
    texts = [text for text in ([own, *inside] if own else inside) if text]
    if not texts:
        return node.resource_id.rpartition("/")[2] or node.kind.rpartition(".")[2], ""
    return _short(texts[0]), _short(", ".join(texts[1:]))


def _texts(node: Node) -> Iterator[Node]:
    """Yield the nodes inside an element that are no elements themselves."""
    for child in node.children:
        if not child.is_element:
            yield child
            yield from _texts(child)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 3] + "..."
