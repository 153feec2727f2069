"""The simulated APIs of one episode, and how a call reaches them: by name, with parsed arguments, never as code."""

from __future__ import annotations

import copy
import decimal
import inspect
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from agentgym.core.errors import unknown_name_message
from agentgym.core.tool import ToolCall
from agentgym.environments.bfcl import official
from agentgym.environments.bfcl.state import plain

_MOST_DIGITS = 10_000
_MOST_BITS = 1_000_000
"""Beyond these a calculation would take longer than anybody waits, and could not be written down anyway."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came of a call."""

    text: str
    """As the official executor writes it, letter for letter, where the call reached an API."""
    reached: bool
    """Whether there is such a function, and it takes such arguments."""


class Apis:
    """Instances of the APIs that a problem involves. They share nothing with others: not even module data."""

    def __init__(self, names: Sequence[str], configs: Mapping[str, Any], long_context: bool) -> None:
        loaded = {
            name: official.new_api(name, copy.deepcopy(configs.get(name, {})), long_context) for name in names
        }
        # In long contexts the instances hold parts of their modules, which calls then change.
        self.instances: dict[str, Any] = copy.deepcopy(loaded)
        self._functions = {
            str(doc["name"]): getattr(self.instances[name], doc["name"])
            for name in names
            for doc in official.tool_docs(name)
        }

    def call(self, call: ToolCall, offered: Sequence[str]) -> Response:
        """Run a call. What goes wrong stands in the response; `offered` are the names to tell of.

        As in the official executor, every function of the APIs can be called, whether it is offered or not.
        """
        function = self._functions.get(call.name)
        if function is None:
            return Response(_error(unknown_name_message("tool", call.name, offered)), False)
        try:
            # Copies, for APIs keep the lists that they are given, and change them.
            arguments = copy.deepcopy(dict(call.arguments))
            inspect.signature(function).bind(**arguments)
        except TypeError as error:
            return Response(_error(f"{call.name}: {error}"), False)
        if _endless(call):
            return Response(_error(f"{call.name}: the numbers are too large."), True)
        with _own_precision():
            try:
                return Response(_written(function(**arguments)), True)
            except Exception as error:  # noqa: BLE001 - whatever the API raises is what the call brings
                return Response(_error(str(error)), True)

    def state(self) -> Any:
        """Return the state of all instances as JSON data, equal exactly when they behave alike."""
        return plain(self.instances)

    def frozen(self) -> Mapping[str, Any]:
        """Return copies of the instances as they are now."""
        return copy.deepcopy(self.instances)


def _error(text: str) -> str:
    return f"Error during execution: {text}"


def _written(result: object) -> str:
    if not isinstance(result, dict):
        return str(result)
    mapping = cast(dict[str, Any], result)
    with suppress(TypeError, ValueError):  # numbers of a precision that JSON does not know
        return json.dumps(mapping)
    return str(mapping)


def _endless(call: ToolCall) -> bool:
    arguments = call.arguments
    digits = [arguments.get("precision"), arguments.get("decimal_places")]
    if any(isinstance(value, int | float) and abs(value) > _MOST_DIGITS for value in digits):
        return True
    base, exponent = arguments.get("base"), arguments.get("exponent")
    if not isinstance(base, int) or not isinstance(exponent, int):
        return False
    return base.bit_length() * abs(exponent) > _MOST_BITS


@contextmanager
def _own_precision() -> Generator[None]:
    """Undo in the end what calculations do to the precision of everybody else's."""
    mp: Any = import_module("mpmath").mp
    before = mp.prec
    try:
        with decimal.localcontext():
            yield
    finally:
        mp.prec = before
