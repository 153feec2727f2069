"""A screen as text: a compact numbered list of what can be touched, with the texts between.

Works on any view hierarchy: this phone's own, and what `uiautomator` tells of a real one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentgym.core.errors import did_you_mean
from agentgym.environments.phone.actions import Refusal, Target, parse
from agentgym.environments.phone.ui.node import Bounds, Node

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


@dataclass(frozen=True, slots=True)
class Listing:
    """A screen's elements in reading order, and the lines of the whole of it."""

    elements: Sequence[Element]
    lines: Sequence[str]

    def named(self, name: str) -> list[Element]:
        """Return the elements with a name; where none has it exactly, those that have it in other case."""
        exact = [element for element in self.elements if element.name == name]
        return exact or [element for element in self.elements if element.name.casefold() == name.casefold()]

    def find(self, target: int | str) -> Element:
        """Return the element with a number or name; raises `Refusal` where there is none, or more than one."""
        if isinstance(target, int):
            if not 1 <= target <= len(self.elements):
                raise Refusal(f"There is no element {target} here; there are {len(self.elements)}.")
            return self.elements[target - 1]
        found = self.named(target)
        if len(found) > 1:
            numbers = ", ".join(str(element.number) for element in found[:8])
            raise Refusal(f"{len(found)} elements are called {target[:40]!r}: {numbers}. Use a number.")
        if not found:
            guess = did_you_mean(target[:80], [element.name for element in self.elements])
            raise Refusal(f"Nothing here is called {target[:40]!r}.{guess}")
        return found[0]

    def point(self, target: Target, screen: Bounds) -> tuple[int, int]:
        """Return where a target is to be touched; raises `Refusal` for what is not on the screen."""
        if not isinstance(target, tuple):
            return self.find(target).node.bounds.centre
        if not screen.holds(*target):
            x, y = target
            raise Refusal(f"{x} {y} is off the screen, which is {screen.right} by {screen.bottom} pixels.")
        return target

    def command(self, verb: str, element: Element) -> str:
        """Return the action on an element: by its name where that is clear, by its number where not."""
        written = f"{verb} {element.name}"
        try:
            clear = parse(written).target == element.name and len(self.named(element.name)) == 1
        except Refusal:
            clear = False
        return written if clear else f"{verb} {element.number}"


def read_screen(root: Node) -> Listing:
    """Return what is on a screen."""
    elements: list[Element] = []
    lines: list[str] = []
    for node, is_element in _parts(root):
        if is_element:
            name, detail = _name(node)
            elements.append(Element(len(elements) + 1, node, name, detail))
            lines.append(elements[-1].line())
        elif node.text:
            lines.append(_short(node.text) if node.style != "text" else " ".join(node.text.split()))
    return Listing(elements, lines)


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
