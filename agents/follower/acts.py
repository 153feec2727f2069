"""Actions taken apart: a form, and the things and values in it."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from agentgym.core.env import Action
from agentgym.core.tool import ToolCall

_THING = re.compile(r"\b[A-Za-z][\w-]* \d+\b")
"""Things in commands have a kind and a number, such as `mug 2`."""


class Act(NamedTuple):
    """What was done: `pieces` of text around `values`, one more of them; `names` are those of arguments."""

    pieces: tuple[str, ...]
    values: tuple[str, ...]
    names: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """The tool that is called, or the first word of a command."""
        return re.split(r"[ (]", self.pieces[0], maxsplit=1)[0]

    @property
    def is_call(self) -> bool:
        """Whether it calls a tool."""
        return bool(self.names) or self.pieces[0].endswith("({})")


def take_apart(action: Action) -> Act:
    """Return the form of an action and what stands in it.

    >>> take_apart("take mug 1 from fridge 2")
    Act(pieces=('take ', ' from ', ''), values=('mug 1', 'fridge 2'), names=())
    >>> take_apart(ToolCall("pay", {"sum": 3})).pieces
    ('pay({"sum": "', '"})')
    """
    if isinstance(action, ToolCall):
        return _call(action.name, dict(action.arguments))
    pieces, end, values = list[str](), 0, list[str]()
    for found in _THING.finditer(action):
        pieces.append(action[end : found.start()])
        values.append(found.group())
        end = found.end()
    return Act((*pieces, action[end:]), tuple(values))


def _call(name: str, arguments: dict[str, Any]) -> Act:
    if not arguments:
        return Act((f"{name}({{}})",), ())
    names = tuple(sorted(arguments))
    keys = [json.dumps(key, ensure_ascii=False) for key in names]
    between = [f'", {key}: "' for key in keys[1:]]
    pieces = (f'{name}({{{keys[0]}: "', *between, '"})')
    return Act(pieces, tuple(str(arguments[key]) for key in names), names)
