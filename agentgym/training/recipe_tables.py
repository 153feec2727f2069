"""Recipes as tables of TOML, before they are validated: read, merged, and overridden.

`fields` are those of `agentgym.training.recipe.Recipe`: they say which keys hold a part, or a list of parts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias, cast, get_args

from pydantic.fields import FieldInfo

from agentgym.core.errors import ConfigError, UnknownNameError
from agentgym.training.parts import Part

Fields: TypeAlias = Mapping[str, FieldInfo]


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that come with agentgym."""
    folder = files("agentgym.training") / "recipes"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def read_recipe(source: str, folder: Path = Path(), extended_by: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a recipe's table, merged over those it extends; files are looked for from `folder`."""
    file = folder / source
    if source in extended_by:
        raise ConfigError(f"Recipes extend each other in a circle: {' -> '.join((*extended_by, source))}.")
    if source in shipped_recipes():
        text = (files("agentgym.training") / "recipes" / f"{source}.toml").read_text("utf-8")
    elif file.is_file():
        text = file.read_bytes().decode("utf-8", "replace")
        folder = file.parent
    else:
        raise UnknownNameError("recipe", source, shipped_recipes(), "Or give the path of a TOML file.")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The recipe {source!r} is not valid TOML: {error}.") from None
    base = table.pop("extends", None)
    return (
        table if base is None else merge_tables(read_recipe(str(base), folder, (*extended_by, source)), table)
    )


def merge_tables(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` changed by `over`, table by table; a table that names another part replaces the old one."""
    merged = dict(base)
    for key, value in over.items():
        merged[key] = merge_tables(merged[key], value) if _extends(merged.get(key), value) else value
    return merged


def override(table: dict[str, Any], assignment: str, fields: Fields) -> None:
    """Apply `key.path=value` to a recipe's table, in place; `fields` are the recipe's. Raises `ConfigError`."""
    path, equals, text = assignment.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set takes key=value or section.key=value, got {assignment!r}.")
    value: Any = _toml_value(text.strip())
    for key in reversed(keys[1:]):
        value = {key: value}
    field = fields.get(keys[0])
    if field is not None and isinstance(field.default, tuple) and isinstance(value, str | dict):
        value = [value]  # one part where a list of them is meant
    if isinstance(value, str) and field is not None and isinstance(field.default, Part):
        value = {"name": value}
    table.update(merge_tables(table, {keys[0]: value}))


def with_part_names(table: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    """Complete a table that sets something of a part without naming it: the default part is meant."""
    completed = dict(table)
    for key, field in fields.items():
        given = completed.get(key)
        if isinstance(field.default, Part) and isinstance(given, dict):
            completed[key] = {"name": field.default.name, **cast("dict[str, Any]", given)}
    return completed


def kind_in(annotation: Any) -> type[Part] | None:
    """Return the kind of part that a field of a recipe holds, alone or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next((kind for arg in get_args(annotation) if (kind := kind_in(arg))), None)


def _extends(old: Any, new: Any) -> bool:
    """Whether both are tables of the same part: a table that names another part replaces the old one."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return False
    tables = cast("tuple[dict[str, Any], dict[str, Any]]", (old, new))
    return "name" not in tables[1] or tables[0].get("name") == tables[1]["name"]


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string
