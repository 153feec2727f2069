"""What a tool is made of: a skill with `tool.json`, `scripts/tool.py` and tests."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind, MemoryItem
from agentgym.core.tool import ToolSpec
from agentgym.memory.skills.document import check_name

SCHEMA_FILE = "tool.json"
"""The tool as MCP describes it: `name`, `description`, `inputSchema`; may have an `outputSchema`, and examples."""
EXAMPLES = "agentgym/examples"
"""The key in MCP's `_meta` under which examples are declared: a list of `{"arguments": {...}, "result": {...}}`."""
CODE_FILE = "scripts/tool.py"
"""Defines `run(args)`, which takes the arguments as a dictionary and returns one."""
TESTS_FOLDER = "tests/"
"""Programs that end with an error where the tool does not do what it should. Functions in them whose names begin with
`test` are called. They import the standard library and `tool`, whose functions take and return JSON there as
everywhere; they run in another process than it."""


class Example(NamedTuple):
    """A call and its answer, as the tool's description declares them."""

    arguments: Mapping[str, Any]
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Contract:
    """All that a tool says of itself, without its code."""

    spec: ToolSpec
    output_schema: Mapping[str, Any] | None = None
    examples: tuple[Example, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """Return it as MCP describes a tool."""
        data: dict[str, Any] = {
            "name": self.spec.name,
            "description": self.spec.description,
            "inputSchema": dict(self.spec.input_schema),
        }
        if self.output_schema is not None:
            data["outputSchema"] = dict(self.output_schema)
        if self.examples:
            told = [{"arguments": dict(e.arguments), "result": dict(e.result)} for e in self.examples]
            data["_meta"] = {EXAMPLES: told}
        return data


def tool_item(
    spec: ToolSpec,
    code: str,
    tests: Mapping[str, str] | None = None,
    *,
    space: str = "",
    env_id: str = "",
    files: Mapping[str, str] | None = None,
    output_schema: Mapping[str, Any] | None = None,
    examples: Sequence[Example] = (),
) -> MemoryItem:
    """Return a tool as a memory item; `tests` are programs by file name. Nothing of it is run.

    Raises `UsageError` for what is no tool; see `spec_of`.
    """
    described = Contract(spec, output_schema, tuple(examples)).to_data()
    texts = {SCHEMA_FILE: json.dumps(described, indent=1), CODE_FILE: code, **(files or {})}
    texts |= {f"{TESTS_FOLDER}{name}": text for name, text in (tests or {}).items()}
    item = MemoryItem(
        ItemKind.TOOL,
        spec.name,
        spec.description,
        f"Call the tool `{spec.name}` with JSON arguments of this form:\n{json.dumps(spec.input_schema)}",
        space=space,
        env_id=env_id,
        files={path: text.encode() for path, text in texts.items()},
    )
    contract_of(item)
    return item


def spec_of(item: MemoryItem) -> ToolSpec:
    """Return what a tool takes. Raises as `contract_of`."""
    return contract_of(item).spec


def contract_of(item: MemoryItem) -> Contract:
    """Return what a tool says of itself.

    Raises `UsageError` naming what is wrong: no tool, files that are missing or broken, a schema that is none of an
    object, examples that are none, code that is no Python or has no `run` with one argument.
    """
    where = f"Tool {item.name!r}"
    if item.kind is not ItemKind.TOOL:
        raise UsageError(f"{item.kind.value} {item.name!r} is no tool.")
    check_name(item.name)
    missing = [path for path in (SCHEMA_FILE, CODE_FILE) if path not in item.files]
    if missing:
        raise UsageError(f"{where} has no file {missing[0]}.")
    described = _described(item.files[SCHEMA_FILE], where)
    if described.get("name") != item.name or not isinstance(described.get("description"), str):
        raise UsageError(f"{where}: {SCHEMA_FILE} needs the name {item.name!r} and a description.")
    _check_code(item.files[CODE_FILE], where)
    spec = ToolSpec(item.name, described["description"], _schema(described.get("inputSchema"), where))
    output = described.get("outputSchema")
    return Contract(
        spec, None if output is None else _schema(output, where, "outputSchema"), _examples(described, where)
    )


def _described(data: bytes, where: str) -> dict[str, Any]:
    try:
        described = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: {SCHEMA_FILE} is no JSON ({error}).") from None
    if not isinstance(described, dict):
        raise UsageError(f"{where}: {SCHEMA_FILE} holds no JSON object.")
    return cast("dict[str, Any]", described)


def _examples(described: Mapping[str, Any], where: str) -> tuple[Example, ...]:
    meta = described.get("_meta", {})
    listed: Any = cast("dict[str, Any]", meta).get(EXAMPLES, []) if isinstance(meta, dict) else None
    try:
        found = [Example(each["arguments"], each["result"]) for each in listed]
        if all(isinstance(part, dict) for example in found for part in example):
            return tuple(found)
    except (KeyError, TypeError):
        pass
    raise UsageError(
        f'{where}: examples stand in {SCHEMA_FILE} as {{"_meta": {{"{EXAMPLES}": [{{"arguments": {{...}}, '
        '"result": {...}}]}}.'
    )


def _schema(schema: Any, where: str, name: str = "inputSchema") -> dict[str, Any]:
    properties = schema.get("properties", {}) if isinstance(schema, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(properties, dict) or cast("dict[str, Any]", schema).get("type") != "object":
        raise UsageError(
            f"{where}: the {name} in {SCHEMA_FILE} is that of an object: "
            '{"type": "object", "properties": {...}}.'
        )
    known = cast("dict[str, Any]", properties)
    required: Any = cast("dict[str, Any]", schema).get("required", [])
    if not all(isinstance(value, dict) for value in known.values()) or not isinstance(required, list):
        raise UsageError(f"{where}: properties are schemas by name, and required is a list of names.")
    unknown = [name for name in cast("list[Any]", required) if name not in known]
    if unknown:
        raise UsageError(f"{where}: the {name} requires {unknown[0]!r}, which is none of its properties.")
    return cast("dict[str, Any]", schema)


def _check_code(data: bytes, where: str) -> None:
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{where}: {CODE_FILE} is no Python ({error}).") from None
    runs = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run"]
    if not runs or len(runs[-1].args.posonlyargs + runs[-1].args.args) != 1:
        raise UsageError(f"{where}: {CODE_FILE} defines no function `run(args)` with one argument.")
