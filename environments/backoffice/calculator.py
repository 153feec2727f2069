"""A calculator, for agents that work out fees and discounts."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping

from agentgym.environments.backoffice.desk import Desk, Refused
from agentgym.environments.backoffice.toolbox import TEXT, tool

_OPERATIONS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
}
_LONGEST = 200


@tool(expression=TEXT)
def calculate(desk: Desk, expression: str) -> float:
    """Work out an expression of numbers with + - * / and parentheses, to cents."""
    try:
        if len(expression) > _LONGEST:
            raise ValueError
        found = round(_value(ast.parse(expression.strip(), mode="eval").body), 2)
        if not math.isfinite(found):
            raise OverflowError
        return found
    except ZeroDivisionError:
        raise Refused("The argument 'expression' divides by zero.") from None
    except (ValueError, SyntaxError, RecursionError, OverflowError, MemoryError):
        raise Refused(
            f"The argument 'expression' must be numbers with + - * / and parentheses, such as 42.50 * 0.85, "
            f"got {expression[:60]!r}."
        ) from None


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.BinOp(left, op, right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand)
        case _:
            raise ValueError
