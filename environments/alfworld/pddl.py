"""Just enough PDDL to read and write ALFWorld's problem files: nested lists and typed names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from agentgym.core.errors import UsageError

Expression: TypeAlias = "str | list[Expression]"
"""A name, or a list of expressions. Names are in lower case: PDDL makes no difference."""

_TOKEN = re.compile(r"[()]|[^\s()]+")
_COMMENT = re.compile(r";[^\n]*")


class PddlError(UsageError):
    """Text that is not PDDL, or not of the kind expected."""


def parse(text: str) -> list[Expression]:
    """Return the one list that a PDDL text consists of; raises `PddlError` on unbalanced brackets.

    >>> parse("(define (problem p) ; a comment\\n (:domain D))")
    ['define', ['problem', 'p'], [':domain', 'd']]
    """
    stack: list[list[Expression]] = [[]]
    for match in _TOKEN.finditer(_COMMENT.sub("", text).lower()):
        token = match.group()
        if token == "(":
            stack.append([])
        elif token == ")":
            if len(stack) == 1:
                raise PddlError("A bracket is closed that was never opened.")
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    if len(stack) > 1:
        raise PddlError(f"{len(stack) - 1} brackets are never closed: the text may be cut off.")
    match stack[0]:
        case [list() as only]:
            return only
        case found:
            raise PddlError(f"Expected one expression in brackets, got {len(found)}.")


def section(problem: Sequence[Expression], name: str) -> list[Expression]:
    """Return what follows `name` in its part of a problem; raises `PddlError` when there is no such part."""
    for part in problem:
        if isinstance(part, list) and part and part[0] == name:
            return part[1:]
    raise PddlError(f"The problem has no ({name} ...) part.")


def typed_names(expressions: Iterable[Expression]) -> Iterator[tuple[str, str]]:
    """Yield (name, type) from a list such as `a b - t c - u`; names without a type get "object".

    >>> list(typed_names(["a", "b", "-", "t", "c"]))
    [('a', 't'), ('b', 't'), ('c', 'object')]
    """
    waiting: list[str] = []
    items = iter(expressions)
    for item in items:
        if not isinstance(item, str):
            raise PddlError(f"Expected a name in the list of objects, got {show(item)}.")
        if item != "-":
            waiting.append(item)
            continue
        kind = next(items, None)
        if not isinstance(kind, str):
            raise PddlError(f"A type must follow '-' after {waiting[-1:]} in the list of objects.")
        yield from ((name, kind) for name in waiting)
        waiting.clear()
    yield from ((name, "object") for name in waiting)


def atoms(expressions: Iterable[Expression]) -> Iterator[tuple[str, ...]]:
    """Yield the facts of an `:init` part as tuples (predicate, argument, ...), without numeric ones."""
    for item in expressions:
        if not isinstance(item, list) or not item:
            raise PddlError(f"Expected a fact in :init, got {show(item)}.")
        if item[0] == "=":
            continue
        names = tuple(part for part in item if isinstance(part, str))
        if len(names) != len(item):
            raise PddlError(f"Expected a plain fact in :init, got {show(item)}.")
        yield names


def show(expression: Expression, most: int = 80) -> str:
    """Return an expression as text, cut to `most` characters.

    >>> show(["a", ["b", "c"]])
    '(a (b c))'
    """
    text = _whole(expression)
    return text if len(text) <= most else text[: most - 3] + "..."


def _whole(expression: Expression) -> str:
    if isinstance(expression, str):
        return expression
    return f"({' '.join(_whole(part) for part in expression)})"


_MANGLED = (("-", "_minus_"), ("|", "_bar_"), ("+", "_plus_"), (".", "_dot_"), (",", "_comma_"))


def mangle(name: str) -> str:
    """Return a simulator's name as PDDL can hold it.

    >>> mangle("Mug|+00.40|-1")
    'Mug_bar__plus_00_dot_40_bar__minus_1'
    """
    for plain, mangled in _MANGLED:
        name = name.replace(plain, mangled)
    return name
