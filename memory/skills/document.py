"""`SKILL.md`: front matter and body, as the Agent Skills standard has them.

The standard allows six fields. What is ours stands in `metadata`, as texts that begin with `agentgym-`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import yaml

from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind, MemoryItem

MAX_NAME, MAX_DESCRIPTION, MAX_COMPATIBILITY = 64, 1024, 500
MAX_BYTES = 1_000_000
"""Of one SKILL.md."""

_TEXTS = ("license", "compatibility", "allowed-tools")
_FIELDS = ("name", "description", *_TEXTS, "metadata")
_OURS = "agentgym-"


class SkillText(NamedTuple):
    """A SKILL.md, read."""

    front: dict[str, Any]
    """The six fields, as far as they are there."""
    body: str
    notes: list[str]
    """What was taken over otherwise than it stands."""


def read_document(text: str, where: str = "SKILL.md") -> SkillText:
    """Read a SKILL.md. Fields that the standard does not have move to `metadata`, with a note.

    Raises `UsageError` naming what is wrong with it.
    """
    head, body = _split(text, where)
    notes: list[str] = []
    return SkillText(_standard(_mapping(head, where), where, notes), body, notes)


def fields_of(text: str, where: str = "SKILL.md") -> dict[str, Any]:
    """Return every field of a SKILL.md's front matter as it stands, lists as one text; raises as `read_document`."""
    return _mapping(_split(text, where)[0], where)


def write_document(front: Mapping[str, Any], body: str) -> str:
    """Return the text of a SKILL.md; `read_document` gives back the same."""
    lines = [f"{name}: {_quoted(front[name])}" for name in _FIELDS[:-1] if name in front]
    metadata: Mapping[str, str] = front.get("metadata", {})
    if metadata:
        entries = (f"  {_quoted(key)}: {_quoted(value)}" for key, value in sorted(metadata.items()))
        lines += ["metadata:", *entries]
    return "\n".join(["---", *lines, "---", "", body, ""])


def check_name(name: str) -> None:
    """Raise `UsageError` for a name that is none by the standard; one that is cannot lead out of a directory."""
    plain = unicodedata.normalize("NFKC", name)
    fits = 0 < len(plain) <= MAX_NAME and plain == name == name.lower() and not re.search(r"^-|--|-$", name)
    if not fits or not all(c.isalnum() or c == "-" for c in name):
        proposal = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:MAX_NAME].strip("-")
        raise UsageError(
            f"Not the name of a skill: {name!r:.100}. Names have up to {MAX_NAME} lower-case letters, digits and single "
            f"hyphens between them{f', such as {proposal!r}' if proposal else ''}."
        )


def front_of(item: MemoryItem, **stated: str) -> dict[str, Any]:
    """Return the front matter of a skill or tool; `stated` is added to the metadata as ours.

    Raises `UsageError` for an item that the standard cannot express.
    """
    if item.kind not in (ItemKind.SKILL, ItemKind.TOOL):
        raise UsageError(f"{item.kind.value} {item.name!r} is no skill; SKILL.md is for skills and tools.")
    ours = {
        "kind": item.kind.value,
        "space": item.space,
        "env": item.env_id,
        "version": item.version,
        **stated,
    }
    metadata = {
        **item.meta.get("metadata", {}),
        **{f"{_OURS}{key}": value for key, value in ours.items() if value},
    }
    texts = {name: item.meta[name] for name in _TEXTS if name in item.meta}
    front = {"name": item.name, "description": item.key_text, **texts, "metadata": metadata}
    others = sorted(set(item.meta) - {*_TEXTS, "metadata"})
    if others:
        raise UsageError(
            f"Skill {item.name!r}: meta has {others}, which SKILL.md has no field for; use `metadata`."
        )
    _check(front, f"Skill {item.name!r}")
    return front


def item_of(document: SkillText, files: Mapping[str, bytes], *, space: str) -> MemoryItem:
    """Return a skill that was read as an item in `space`."""
    front = document.front
    metadata: dict[str, str] = front.get("metadata", {})
    theirs = {key: value for key, value in metadata.items() if not key.startswith(_OURS)}
    texts = {name: front[name] for name in _TEXTS if name in front}
    return MemoryItem(
        ItemKind.TOOL if metadata.get(f"{_OURS}kind") == ItemKind.TOOL.value else ItemKind.SKILL,
        front["name"],
        front["description"],
        document.body,
        space=space,
        env_id=metadata.get(f"{_OURS}env", ""),
        files=dict(files),
        meta={**texts, **({"metadata": theirs} if theirs else {})},
    )


def stated(front: Mapping[str, Any], key: str) -> str:
    """Return one of our own entries in the metadata; empty where there is none."""
    return front.get("metadata", {}).get(f"{_OURS}{key}", "")


def _split(text: str, where: str) -> tuple[str, str]:
    lines = text.split("\n")
    closing = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), 0)
    if lines[0].rstrip() != "---" or not closing:
        raise UsageError(f"{where} begins with front matter between two lines of ---; got {lines[0]!r:.60}.")
    body = "\n".join(lines[closing + 1 :])
    return "\n".join(lines[1:closing]), body.removeprefix("\r").removeprefix("\n").removesuffix("\n")


def _mapping(text: str, where: str) -> dict[str, Any]:
    """Read YAML that is a mapping of texts, lists of texts and mappings of texts. Nothing in it is made into objects."""
    if len(text) > MAX_BYTES:
        raise UsageError(f"{where}: the front matter has more than {MAX_BYTES} characters.")
    try:
        node = cast("yaml.Node | None", yaml.compose(text, Loader=yaml.BaseLoader))
        if not isinstance(node, yaml.MappingNode):
            raise UsageError(f"{where}: the front matter is no mapping such as `name: my-skill`.")
        return _entries(node, where)
    except (yaml.YAMLError, RecursionError) as error:
        told = " ".join(str(error).split())
        raise UsageError(
            f"{where}: the front matter is no YAML ({told:.200}). Quote texts that have a colon."
        ) from None


def _entries(node: yaml.MappingNode, where: str, depth: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
        name = key.value if isinstance(key, yaml.ScalarNode) else None
        if not isinstance(name, str) or name in found:
            raise UsageError(f"{where}: {'twice' if name in found else 'no text'} as a key: {name!r:.60}.")
        if isinstance(value, yaml.MappingNode) and depth == 0:
            found[name] = _entries(value, f"{where}: {name}", 1)
        elif isinstance(value, yaml.SequenceNode) and all(
            isinstance(v, yaml.ScalarNode) for v in value.value
        ):
            found[name] = " ".join(v.value for v in value.value)
        elif isinstance(value, yaml.ScalarNode):
            found[name] = value.value
        else:
            raise UsageError(f"{where}: {name!r:.60} is no text.")
    return found


def _standard(data: dict[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    front: dict[str, Any] = {name: data[name] for name in _FIELDS if name in data}
    foreign = sorted(set(data) - set(_FIELDS))
    metadata: Any = front.get("metadata", {}) or {}
    if not isinstance(metadata, dict):
        raise UsageError(f"{where}: metadata is a mapping of texts, got {metadata!r:.60}.")
    for name in foreign:
        value = data[name] if isinstance(data[name], str) else json.dumps(data[name], sort_keys=True)
        cast("dict[str, str]", metadata).setdefault(name, value)
        notes.append(f"{where}: {name!r} is no field of the standard; it is kept in metadata.")
    if metadata:
        front["metadata"] = metadata
    else:
        front.pop("metadata", None)
    _check(front, where)
    return front


def _check(front: Mapping[str, Any], where: str) -> None:
    for name in ("name", "description"):
        if not isinstance(front.get(name), str) or not front[name].strip():
            raise UsageError(f"{where}: the field {name!r} is missing or empty.")
    for name in _TEXTS:
        if name in front and not isinstance(front[name], str):
            raise UsageError(f"{where}: {name} is a text, got {front[name]!r:.60}.")
    check_name(front["name"])
    if len(front["description"]) > MAX_DESCRIPTION or len(front.get("compatibility", "")) > MAX_COMPATIBILITY:
        raise UsageError(
            f"{where}: the description has at most {MAX_DESCRIPTION} characters, compatibility {MAX_COMPATIBILITY}."
        )
    metadata = front.get("metadata", {})
    if any(not isinstance(text, str) for pair in metadata.items() for text in pair):
        raise UsageError(f"{where}: metadata is a mapping of texts; write numbers and lists as texts.")


def _quoted(text: str) -> str:
    """Return a text in double quotes as every YAML reader takes it.

    Three hyphens are broken up: readers of the standard end the front matter at the first ones.
    """
    escaped = "".join(c if c.isprintable() and c not in '"\\' else _escape(c) for c in text)
    return f'"{escaped.replace("---", "-" + _escape("-") + "-")}"'


def _escape(character: str) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    code = ord(character)
    return short.get(character) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
