"""Tools in the form of Yunjue-Agent (one module with `__TOOL_META__`, `InputModel` and `run`), read and never run."""

from __future__ import annotations

import ast
import json
from typing import Any, cast

from agentgym.core.errors import UsageError
from agentgym.core.memory import MemoryItem
from agentgym.core.tool import ToolSpec
from agentgym.memory.tools.document import tool_item

ORIGINAL_FILE = "scripts/original.py"
"""The module as it was."""

_ADAPTER = """# /// script
# dependencies = {dependencies}
# ///
from original import InputModel
from original import run as original_run


def run(args):
    answer = original_run(InputModel(**args))
    return answer if isinstance(answer, dict) else answer.model_dump(mode="json")
"""

_TYPES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
}


def imported_tool(source: str, *, space: str = "", env_id: str = "") -> MemoryItem:
    """Return a module of that form as a tool; underscores in its name become hyphens.

    What it depends on (pydantic, mostly) is noted in its code, and has to be in the sandbox's image. Raises
    `UsageError` where a part is missing or says nothing that can be read without running it.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"The module is no Python ({error}).") from None
    meta = _meta(tree)
    models = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "InputModel"]
    if not models or not any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
        raise UsageError("The module needs a class InputModel and a function run.")
    fields = [node for node in models[-1].body if isinstance(node, ast.AnnAssign)]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {_name(field): _property(field) for field in fields},
        "required": [_name(field) for field in fields if _required(field.value)],
    }
    code = _ADAPTER.format(dependencies=json.dumps(meta["dependencies"]))
    spec = ToolSpec(meta["name"].replace("_", "-"), meta["description"], schema)
    return tool_item(spec, code, space=space, env_id=env_id, files={ORIGINAL_FILE: source})


def _meta(tree: ast.Module) -> dict[str, Any]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__TOOL_META__" for target in targets):
            return _checked(_literal(getattr(node, "value", None)))
    raise UsageError("The module has no __TOOL_META__ with a name and a description.")


def _checked(value: Any) -> dict[str, Any]:
    meta = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    dependencies: Any = meta.get("dependencies", [])
    listed = isinstance(dependencies, list) and all(
        isinstance(each, str) and each.isprintable() for each in cast("list[Any]", dependencies)
    )
    if not all(isinstance(meta.get(key), str) for key in ("name", "description")) or not listed:
        raise UsageError(
            "__TOOL_META__ is written out as a dictionary with the texts name and description, and dependencies "
            "as a list of texts."
        )
    return {**meta, "dependencies": dependencies}


def _literal(node: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _name(field: ast.AnnAssign) -> str:
    return ast.unparse(field.target)


def _property(field: ast.AnnAssign) -> dict[str, Any]:
    found = _schema(field.annotation, _name(field))
    for keyword in field.value.keywords if isinstance(field.value, ast.Call) else ():
        text = _literal(keyword.value)
        if keyword.arg == "description" and isinstance(text, str):
            found["description"] = text
    return found


def _schema(node: ast.expr, name: str) -> dict[str, Any]:
    """Return the schema of a type: the plain ones, lists and dictionaries of anything, and any of them or None."""
    if isinstance(node, ast.BinOp) and ast.unparse(node.right) == "None":
        return _or_null(_schema(node.left, name))
    if isinstance(node, ast.Subscript):
        if ast.unparse(node.value).rpartition(".")[2] == "Optional":
            return _or_null(_schema(node.slice, name))
        node = node.value
    plain = ast.unparse(node).rpartition(".")[2].lower()
    if plain == "any":
        return {}
    if plain not in _TYPES:
        raise UsageError(
            f"The type of {name} in InputModel cannot be told without running the module: {ast.unparse(node)!r:.100}."
        )
    return {"type": _TYPES[plain]}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else schema


def _required(value: ast.expr | None) -> bool:
    if not isinstance(value, ast.Call):
        return value is None or (isinstance(value, ast.Constant) and value.value is ...)
    given = value.args[0] if value.args else None
    has_default = any(keyword.arg in ("default", "default_factory") for keyword in value.keywords)
    return not has_default and (given is None or (isinstance(given, ast.Constant) and given.value is ...))
