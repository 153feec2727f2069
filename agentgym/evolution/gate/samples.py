"""Arguments that a JSON Schema allows, chosen at its edges: the same for the same schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, cast

from agentgym.core.errors import ConfigError

MOST = 16
"""Calls that are made up for one tool."""

_STRINGS = ("a", "", "two words", "Größe 3", "a" * 40)
_FORMATS = {
    "date": ("2024-02-29", "1999-12-31"),
    "time": ("23:59:00Z",),
    "date-time": ("2024-02-29T23:59:00Z",),
    "email": ("a@example.org",),
    "uri": ("https://example.org/a?b=c",),
    "uuid": ("00000000-0000-4000-8000-000000000000",),
}
_ANY = ("a", 1, None)
_DEPTH = 4
"""Deeper schemas are given no values."""


def sample_arguments(schema: Mapping[str, Any], most: int = MOST) -> list[dict[str, Any]]:
    """Return arguments that the schema of an object allows: a plain call, then one property varied at a time.

    What it gives as examples comes first. Without an example nothing can be found for a pattern, say: then there is no
    call, and the list is empty. Raises `ConfigError` without the package `jsonschema`.

    >>> sample_arguments({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 2}}})
    [{}, {'n': 1}, {'n': 2}]
    """
    allowed: list[dict[str, Any]] = []
    valid = _validator(schema)
    for arguments in chain(_list(schema.get("examples")), _objects(schema, 0)):
        if isinstance(arguments, dict) and arguments not in allowed and valid(arguments):
            allowed.append(cast("dict[str, Any]", arguments))
        if len(allowed) == most:
            break
    return allowed


def _objects(schema: Mapping[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    values = {name: _values(each, depth + 1) for name, each in properties.items()}
    required = [name for name in schema.get("required", ()) if name in properties]
    if any(not values[name] for name in required):
        return
    least = {name: values[name][0] for name in required}
    whole = {name: found[0] for name, found in values.items() if found}
    yield least
    yield whole
    longest = max(map(len, values.values()), default=0)
    for place in range(longest):  # of each property one value, before any gets another
        yield from ({**whole, name: found[place]} for name, found in values.items() if place < len(found))


def _values(schema: Any, depth: int) -> list[Any]:
    if not isinstance(schema, Mapping) or depth > _DEPTH:
        return []
    known = cast("Mapping[str, Any]", schema)
    stated = [
        *_list(known.get("examples")),
        *_list(known.get("enum")),
        *([known["const"]] if "const" in known else []),
    ]
    default = [known["default"]] if "default" in known else []
    if stated:
        return _allowed([*stated, *default], known)
    options = [*_list(known.get("anyOf")), *_list(known.get("oneOf"))]
    kinds: Any = known.get("type", () if options else "any")
    names: Sequence[str] = [kinds] if isinstance(kinds, str) else kinds
    made = [value for name in names for value in _of_type(name, known, depth)]
    made += [value for option in options for value in _values(option, depth)]
    return _allowed([*default, *made], known)


def _of_type(name: str, schema: Mapping[str, Any], depth: int) -> Iterable[Any]:
    match name:
        case "integer" | "number":
            return _numbers(name, schema)
        case "string":
            if "pattern" in schema:
                return ()
            return _FORMATS.get(schema.get("format", ""), _strings(schema))
        case "boolean":
            return (False, True)
        case "null":
            return (None,)
        case "array":
            return _arrays(schema, depth)
        case "object":
            return [*_objects(schema, depth)][:4]
        case _:
            return _ANY


def _numbers(name: str, schema: Mapping[str, Any]) -> Iterator[float]:
    low, high = schema.get("minimum"), schema.get("maximum")
    after, before = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    step = schema.get("multipleOf", 1)
    edges = [low, high, None if after is None else after + step, None if before is None else before - step]
    yield from (edge for edge in edges if edge is not None)
    yield from (step * number for number in (1, 0, 2, -1, 7, 100))
    if name == "number":
        yield from (0.5 * step, -2.25 * step)


def _strings(schema: Mapping[str, Any]) -> Iterator[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    yield from (text[:most].ljust(least, "a") for text in _STRINGS)


def _arrays(schema: Mapping[str, Any], depth: int) -> Iterator[list[Any]]:
    items = _values(schema.get("items", {}), depth + 1)
    least, most = schema.get("minItems", 0), schema.get("maxItems", 5)
    sizes = sorted(
        {max(least, min(most, size)) for size in (2, 0, 1, len(items))}, key=lambda size: (size != 2, size)
    )
    for size in sizes:
        if items or not size:
            yield [items[place % len(items)] for place in range(size)]
            if size > 1:
                yield [items[-1 - place % len(items)] for place in range(size)]


def _validator(schema: Mapping[str, Any]) -> Callable[[Any], bool]:
    try:
        from jsonschema import Draft202012Validator
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"Checking tools needs {error.name}: pip install 'agentgym-harness[sandbox]'"
        ) from error
    validator = Draft202012Validator(dict(schema))
    return lambda value: validator.is_valid(value)  # pyright: ignore[reportUnknownMemberType]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def _allowed(values: Iterable[Any], schema: Mapping[str, Any]) -> list[Any]:
    """Return the values that a schema allows, each once; 1, 1.0 and true are three."""
    valid = _validator(schema)
    return list({f"{type(value)} {value!r}": value for value in values if valid(value)}.values())
