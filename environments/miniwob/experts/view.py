"""What an expert sees, and the words it answers with."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from agentgym.environments.browser.tree import Element


class Stuck(Exception):
    """The page is not as the expert knows it."""


@dataclass(frozen=True)
class View:
    """A page in the middle of a task."""

    utterance: str
    """What is asked for."""
    text: str
    """The page, as the agent sees it."""
    elements: Mapping[int, Element]
    actions: Sequence[str]
    """What was done so far."""
    evaluate: Callable[..., Any]
    """Runs JavaScript on the page, for what only the eye sees."""

    @cached_property
    def _lines(self) -> Mapping[int, str]:
        return {
            int(number): line for number, line in re.findall(r"^\t*\[(\d+)\] (.*)$", self.text, re.MULTILINE)
        }

    @property
    def quoted(self) -> list[str]:
        """The parts of the utterance that stand in quotes."""
        return re.findall(r'"([^"]*)"', self.utterance)

    def all(self, role: str, name: str | None = None) -> list[int]:
        """Return the elements of a role, and a name."""
        return [one.id for one in self.elements.values() if one.role == role and name in (None, one.name)]

    def find(self, role: str, name: str | None = None, nth: int = 0) -> int:
        """Return the nth of these elements, from 0; raises `Stuck` where there are fewer."""
        found = self.all(role, name)
        if nth >= len(found):
            raise Stuck
        return found[nth]

    def named(self, name: str) -> int:
        """Return an element with this name, the most specific one; raises `Stuck`."""
        found = [one.id for one in self.elements.values() if one.name == name]
        if not found:
            raise Stuck
        return found[-1]

    def shows(self, name: str) -> bool:
        """Whether there is an element with this name."""
        return any(one.name == name for one in self.elements.values())

    def texts(self) -> list[str]:
        """Return what stands on the page, in order."""
        return [one.name for one in self.elements.values() if one.role == "StaticText"]

    def is_(self, state: str, element: int) -> bool:
        """Whether the element is so, such as `checked=true`."""
        return f", {state}" in self._lines[element]

    def value(self, element: int) -> str:
        """Return what a field contains."""
        found = re.search(r"value=('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", self._lines[element])
        return str(ast.literal_eval(found[1])) if found else ""

    def did(self, action: str) -> bool:
        """Whether an action has been done."""
        return action in self.actions


Expert: TypeAlias = Callable[[View], str]


class Experts(dict[str, Expert]):
    """Experts by page."""

    def on(self, *pages: str) -> Callable[[Expert], Expert]:
        """Make a function the expert on pages."""

        def enter(function: Expert) -> Expert:
            self.update(dict.fromkeys(pages, function))
            return function

        return enter


def click(element: int) -> str:
    """Say to click an element."""
    return f"click({element})"


def click_at(x: float, y: float) -> str:
    """Say to click at a point."""
    return f"mouse_click({x:g}, {y:g})"


def drag(x: float, y: float, to_x: float, to_y: float) -> str:
    """Say to drag from a point to another."""
    return f"mouse_drag_and_drop({x:g}, {y:g}, {to_x:g}, {to_y:g})"


def fill(view: View, element: int, text: str, shown: str | None = None) -> str | None:
    """Say to fill in a field; None where it contains that, which is shown as `shown`."""
    value = view.value(element)
    if value == (text if shown is None else shown) or (value and value == "•" * len(text)):
        return None
    return f"fill({element}, {json.dumps(text, ensure_ascii=False)})"


def check(view: View, element: int, wanted: bool = True) -> str | None:
    """Say to tick a box or to clear it; None where it is so."""
    return None if view.is_("checked=true", element) == wanted else click(element)


def select(element: int, *options: str) -> str:
    """Say to select options of a list."""
    return f"select_option({', '.join([str(element), *map(json.dumps, options)])})"


def first(*steps: str | None) -> str:
    """Return the first step that is still to be taken."""
    return next(step for step in steps if step is not None)


def once(view: View, action: str) -> str | None:
    """Return an action, or None where it has been done."""
    return None if view.did(action) else action
