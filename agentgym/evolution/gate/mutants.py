"""Small changes to code that its tests should notice (DeMillo, Lipton and Sayward 1978), on the syntax tree."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")

Change: TypeAlias = Callable[[ast.AST], None]
"""Changes a node in place."""

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}


class Mutant(NamedTuple):
    """A program with one change."""

    line: int
    change: str
    code: str


def mutants(code: str) -> list[Mutant]:
    """Return every mutant of a program, in the order of its lines.

    Changed are comparisons, arithmetic, `and` and `or`, conditions, constants, `break` and `continue`; left out are
    calls made for their effect, augmented assignments, `raise` and what is returned. Texts that nobody computes with
    (docstrings, annotations, messages of errors) stay as they are. Raises `SyntaxError` for what is no Python.
    """
    tree = ast.parse(code)
    same, idle = ast.unparse(tree), _idle(tree)
    found: dict[str, Mutant] = {}
    for place, node in enumerate(ast.walk(tree)):
        if node in idle:
            continue
        for number, (told, _) in enumerate(_changes(node)):
            changed = copy.deepcopy(tree)
            target = _at(changed, place)
            _, change = list(_changes(target))[number]
            change(target)
            text = ast.unparse(ast.fix_missing_locations(changed))
            if text != same:
                found.setdefault(text, Mutant(getattr(node, "lineno", 0), told, text))
    return sorted(found.values(), key=lambda mutant: (mutant.line, mutant.change))


def spread(every: Sequence[T], most: int) -> list[T]:
    """Return at most so many, from all over the list."""
    return [every[place * len(every) // most] for place in range(most)] if len(every) > most else list(every)


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """Yield the changes to one node, with what they do in words."""
    match node:
        case ast.Compare(ops=ops):
            for place, old in enumerate(ops):
                if type(old) in _COMPARISONS:
                    new = _COMPARISONS[type(old)]()
                    yield f"{_name(old)} becomes {_name(new)}", _put("ops", new, place)
        case ast.BinOp(op=old) | ast.AugAssign(op=old) if type(old) in _OPERATORS:
            new = _OPERATORS[type(old)]()
            yield f"{_name(old)} becomes {_name(new)}", _put("op", new)
        case ast.BoolOp(op=old):
            new = ast.Or() if isinstance(old, ast.And) else ast.And()
            yield f"{_name(old)} becomes {_name(new)}", _put("op", new)
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield "a condition is negated", _put("test", ast.UnaryOp(ast.Not(), test))
        case ast.Constant(value=value):
            yield from ((f"{value!r:.40} becomes {new!r:.40}", _put("value", new)) for new in _others(value))
        case ast.Return(value=ast.expr()):
            yield "nothing is returned", _put("value", ast.Dict([], []))
        case _:
            pass
    for name in ("body", "orelse", "finalbody"):
        statements = getattr(node, name, None)
        for place, statement in enumerate(statements if isinstance(statements, list) else ()):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            yield from _replaced(statement, name, place)  # pyright: ignore[reportUnknownArgumentType]


def _replaced(statement: ast.AST, field: str, place: int) -> Iterator[tuple[str, Change]]:
    match statement:
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise():
            yield f"`{ast.unparse(statement):.40}` is left out", _put(field, ast.Pass(), place)
        case ast.Break():
            yield "break becomes continue", _put(field, ast.Continue(), place)
        case ast.Continue():
            yield "continue becomes break", _put(field, ast.Break(), place)
        case _:
            pass


def _others(value: object) -> list[object]:
    """Return what a constant is changed to."""
    match value:
        case bool():
            return [not value]
        case int() | float():
            return [value + 1]
        case str():
            return [f"{value}?"]
        case _:
            return []


def _put(field: str, new: object, place: int | None = None) -> Change:
    def change(node: ast.AST) -> None:
        if place is None:
            setattr(node, field, new)
        else:
            getattr(node, field)[place] = new

    return change


def _at(tree: ast.AST, place: int) -> ast.AST:
    return next(node for number, node in enumerate(ast.walk(tree)) if number == place)


def _idle(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes that nothing is computed from."""
    left: list[ast.AST | None] = []
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Raise():
                left.append(node)
            case ast.arg(annotation=annotation) | ast.AnnAssign(annotation=annotation):
                left.append(annotation)
            case ast.FunctionDef(returns=returns):
                left.append(returns)
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                left.append(node)
            case _:
                pass
    return {inner for node in left if node is not None for inner in ast.walk(node)}


def _name(operator: ast.AST) -> str:
    return type(operator).__name__
