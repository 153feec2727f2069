"""What is wrong with a recipe, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from agentgym.core.errors import did_you_mean
from agentgym.training.parts import Part
from agentgym.training.recipe_tables import kind_in

_PASSWORD = re.compile(r"(://[^/@:\s]*):[^/@\s]*@")


def explain(problem: Mapping[str, Any], table: Mapping[str, Any], recipe: type[BaseModel]) -> str:
    """Return a problem that pydantic found in a table of the model `recipe`: the field, the value, what is allowed."""
    path = [str(part) for part in problem["loc"]]
    where = ".".join(path) or "recipe"
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such key.{did_you_mean(path[-1], _known_keys(path[:-1], table, recipe))}"
    if problem["type"] == "missing":
        return f"{where}: is missing."
    message = str(problem["msg"]).removeprefix("Value error, ")
    got = _PASSWORD.sub(r"\1:***@", repr(problem["input"]))
    return f"{where}: got {got}. {message}" if path else message


def _known_keys(path: Sequence[str], table: Any, recipe: type[BaseModel]) -> list[str]:
    """Return the keys of the section or part at `path` in a recipe's table."""
    section: Any = recipe
    for key in path:
        table = table[int(key)] if key.isdecimal() else table[key]
        if key.isdecimal():
            continue  # a place in a list of parts: the kind is known already
        annotation = section.model_fields[key].annotation
        candidates = (annotation, *get_args(annotation))
        section = kind_in(annotation) or next(one for one in candidates if hasattr(one, "model_fields"))
    if issubclass(section, Part):
        section = section.registry[str(table["name"])]
    return list(section.model_fields)
