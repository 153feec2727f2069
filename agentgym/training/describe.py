"""What recipes and parts say of themselves, for listings and documentation."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, cast, get_args, get_origin

from pydantic.fields import FieldInfo

from agentgym.core.errors import UnknownNameError
from agentgym.training.parts import Part
from agentgym.training.recipe import Recipe, load_recipe, part_fields
from agentgym.training.recipe_tables import shipped_recipes

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


class Setting(NamedTuple):
    """A setting of a part."""

    name: str
    allowed: str
    """Its type and range, or its choices."""
    default: str | None
    """None: it must be given."""
    published: str | None
    """In the authors' released code, where our default differs."""
    meaning: str


class PartInfo(NamedTuple):
    """A registered part."""

    name: str
    summary: str
    settings: tuple[Setting, ...]


def kinds() -> dict[str, type[Part]]:
    """Return the kinds of part that a recipe is composed of, by name, in the recipe's order."""
    return {kind.kind: kind for kind in part_fields().values()}


def parts_of(kind: str) -> list[PartInfo]:
    """Return the registered parts of a kind; raises `UnknownNameError` for no kind."""
    if kind not in kinds():
        raise UnknownNameError("kind of part", kind, kinds())
    return [_describe(part) for _, part in sorted(kinds()[kind].registry.items())]


def composition(recipe: Recipe) -> list[str]:
    """Return what a recipe is made of, such as `advantage: step_group(weight=0.5)`.

    Parts that every recipe has unless it says otherwise are left out, but for the advantage and the clip;
    so are settings at their defaults.
    """
    lines: list[str] = []
    for key in part_fields():
        value: Part | tuple[Part, ...] = getattr(recipe, key)
        if value != Recipe.model_fields[key].default or key in ("advantage", "clip"):
            parts = value if isinstance(value, tuple) else (value,)
            lines.append(f"{key}: {', '.join(map(_call, parts)) or 'none'}")
    return lines


def recipes_as_markdown() -> str:
    """Return the shipped recipes as a page of documentation."""
    lines = [
        "# Algorithms",
        "",
        "Every shipped recipe with its paper, what it is made of, and where it departs from the authors' released",
        "code. `agentgym recipes show NAME` prints one in full, `agentgym recipes parts` the parts. Parts that a",
        "recipe does not mention are the defaults; so are settings. *Reconstructed* means: known from an abstract",
        "or a note only, not the authors' definition.",
        "",
        "This page is written by `agentgym recipes --markdown`; change the recipes instead.",
    ]
    for name in shipped_recipes():
        recipe = load_recipe(name)
        marked = " (reconstructed)" if recipe.provenance == "reconstructed" else ""
        lines += ["", f"## {name}{marked}", "", recipe.summary, ""]
        lines += [f"- Paper: {recipe.paper}"] if recipe.paper else []
        lines += ["- Parts: " + "; ".join(f"`{line}`" for line in composition(recipe))]
        lines += [f"- Departures: {recipe.departures}"] if recipe.departures else []
    return "\n".join(lines) + "\n"


def _call(part: Part) -> str:
    given = [f"{key}={_shown(value)}" for key, value in part if value != type(part).model_fields[key].default]
    return f"{part.name}({', '.join(given)})" if given else part.name


def _describe(part: type[Part]) -> PartInfo:
    meanings = dict(_attribute_docs(part))
    settings = [
        Setting(
            name,
            _allowed(field),
            None if field.is_required() else _shown(field.get_default(call_default_factory=True)),
            _shown(part.published[name]) if _differs(part, name, field) else None,
            meanings.get(name, ""),
        )
        for name, field in part.model_fields.items()
    ]
    first = inspect.cleandoc(part.__doc__ or "").split("\n\n")[0]
    return PartInfo(part.part_name, " ".join(first.split()), tuple(settings))


def _differs(part: type[Part], name: str, field: FieldInfo) -> bool:
    return name in part.published and part.published[name] != field.default


def _allowed(field: FieldInfo) -> str:
    limits = [
        f"{sign} {_shown(getattr(limit, name))}"
        for limit in field.metadata
        for name, sign in _BOUNDS.items()
        if getattr(limit, name, None) is not None
    ]
    return " ".join([_type_name(field.annotation), " and ".join(limits)]).strip()


def _type_name(annotation: Any) -> str:
    plain = {bool: "true | false", int: "integer", float: "number", str: "text", type(None): "unset"}
    if annotation in plain:
        return plain[annotation]
    if get_origin(annotation) is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(_type_name(arg) for arg in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list of " + _type_name(get_args(annotation)[0])
    return str(getattr(annotation, "__name__", annotation))


def _shown(value: Any) -> str:
    """Return a value as TOML would have it, near enough to read."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "unset"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_shown(item) for item in cast('list[Any]', value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _attribute_docs(part: type[Part]) -> Iterator[tuple[str, str]]:
    """Yield the settings of a part that have a docstring below them, with its text; base classes first."""
    for cls in reversed(part.__mro__):
        if not issubclass(cls, Part) or cls is Part:
            continue
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        assert isinstance(node, ast.ClassDef)
        for field, doc in zip(node.body, node.body[1:], strict=False):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant):
                yield field.target.id, " ".join(str(doc.value.value).split())
