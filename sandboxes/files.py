"""Files on their way into a box. They travel as tar archives that a program inside unpacks: nothing of ours ever
opens a path that code in a box can tamper with."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from agentgym.core.errors import UsageError
from agentgym.core.sandbox import WORK, can_be_told


def inside(path: str) -> str:
    """Return a path in a box without its detours, relative to `/work`.

    Raises `UsageError` for one that is absolute, empty, or leaves `/work`.

    >>> inside("data/./a.txt")
    'data/a.txt'
    """
    pure = PurePosixPath(path)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or not can_be_told(path):
        raise UsageError(
            f"A file's path in a sandbox is relative to {WORK} and stays in it, without '..'; got {path!r}."
        )
    return str(pure)


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return files as a tar archive; those that begin with `#!` are executable."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(inside(path))
            member.size = len(content)
            member.mode = 0o755 if content.startswith(b"#!") else 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
