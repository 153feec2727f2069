"""Skills as directories: `<name>/SKILL.md` and the files beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from agentgym.core.errors import UsageError, did_you_mean
from agentgym.core.memory import MemoryItem, check_file_path
from agentgym.memory.skills.document import (
    MAX_BYTES,
    check_name,
    front_of,
    item_of,
    read_document,
    stated,
    write_document,
)

MAX_FILES, MAX_TOTAL_BYTES = 512, 16 * 1024 * 1024
"""Of one skill; what every host of skills over MCP takes."""

SKILL_FILE = "SKILL.md"


class ReadSkill(NamedTuple):
    """A skill that was read from a directory."""

    item: MemoryItem
    notes: list[str]
    """What was taken over otherwise than it stands."""
    stated_version: str
    """The version that was written there; empty where it was not written by us."""
    edited: bool
    """Whether it was changed since."""


def read_skill(folder: Path, *, space: str = "") -> ReadSkill:
    """Read a skill directory as an item in `space`.

    Raises `UsageError` for what is no skill: broken front matter, a name that is not the directory's, links, files
    that are too many or too large.
    """
    folder = folder.absolute()
    if not folder.is_dir() or folder.is_symlink():
        raise UsageError(f"There is no skill directory at {folder}.")
    files = dict(_files(folder))
    if SKILL_FILE not in files:
        raise UsageError(f"{folder} has no {SKILL_FILE}.{did_you_mean(SKILL_FILE, files)}")
    where = str(folder / SKILL_FILE)
    if len(files[SKILL_FILE]) > MAX_BYTES:
        raise UsageError(f"{where} has more than {MAX_BYTES} bytes.")
    try:
        document = read_document(files.pop(SKILL_FILE).decode("utf-8"), where)
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not UTF-8: {error}.") from None
    if document.front["name"] != folder.name:
        raise UsageError(
            f"{where} names the skill {document.front['name']!r}; its directory is {folder.name!r}."
        )
    item = item_of(document, files, space=space)
    version, home = stated(document.front, "version"), stated(document.front, "space")
    edited = bool(version) and replace(item, space=home).version != version
    return ReadSkill(item, document.notes, version, edited)


def read_skills(root: Path, *, space: str = "") -> list[ReadSkill]:
    """Read every skill directory in `root`, by name; raises `UsageError` for the first that is none."""
    folders = sorted(path.parent for path in root.glob(f"*/{SKILL_FILE}"))
    return [read_skill(folder, space=space) for folder in folders]


def write_skill(item: MemoryItem, root: Path, **details: str) -> Path:
    """Write a skill to the directory `root/<name>` and return it; `details` go into the metadata as ours.

    Another version that was written there by us makes room. Raises `UsageError` for an item that the standard
    cannot express, and for a directory with anything else in it: what was edited by hand is read first.
    """
    check_name(item.name)
    target = root / item.name
    text = write_document(front_of(item, **details), item.body)
    if len(item.files) >= MAX_FILES or sum(map(len, item.files.values())) + len(text) > MAX_TOTAL_BYTES:
        raise UsageError(f"Skill {item.name!r} has more than {MAX_FILES} files or {MAX_TOTAL_BYTES} bytes.")
    if SKILL_FILE in item.files:
        raise UsageError(f"Skill {item.name!r} has a file {SKILL_FILE}; that one is made of its body.")
    if target.exists() or target.is_symlink():
        _check_ours(target)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".writing-") as scratch:
        made = Path(scratch) / item.name
        for path, data in {**item.files, SKILL_FILE: text.encode()}.items():
            check_file_path(path)
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_bytes(data)
        if target.exists():
            target.rename(Path(scratch) / "before")
        made.rename(target)
    return target


def _check_ours(target: Path) -> None:
    try:
        there = read_skill(target)
    except UsageError as error:
        raise UsageError(f"{target} is not overwritten, for it is no skill of ours: {error}") from None
    if not there.stated_version or there.edited:
        raise UsageError(
            f"{target} is not overwritten: it was {'edited' if there.edited else 'written'} by others. Read it first, "
            "or move it away."
        )


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    total = 0
    for number, path in enumerate(sorted(folder.rglob("*"))):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise UsageError(f"{path} is a link; a skill has files of its own only.")
        if number > 4 * MAX_FILES:
            raise UsageError(f"{folder} has too many files for a skill.")
        if path.is_dir():
            continue
        check_file_path(relative)
        total += path.stat().st_size if path.is_file() else MAX_TOTAL_BYTES + 1
        if total > MAX_TOTAL_BYTES:
            raise UsageError(f"{path}: no plain file, or the skill has more than {MAX_TOTAL_BYTES} bytes.")
        yield relative, path.read_bytes()
