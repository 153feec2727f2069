"""What the boxes of all backends have in common: everything is a program that runs inside."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from types import TracebackType
from typing import Self

from agentgym.core.errors import NotForkableError, SandboxFault, UsageError
from agentgym.core.sandbox import MEBIBYTE, WORK, KilledBy, Result, SandboxSpec, can_be_told
from agentgym.sandboxes.files import inside, pack
from agentgym.sandboxes.running import Channel, Finished, finish
from agentgym.sandboxes.shell import START, BoxShell

_PATIENCE_S = 60.0
"""For the box's own programs, which move files."""
_NOT_FOUND = (126, 127)
_READ = '[ -f "$1" ] || { echo "No such file" >&2; exit 1; }; exec cat "$1"'
"""Pipes and devices, which may have no end, are no files."""
_UNPACK = "tar -x -f -"
_REPLACE = f"find {WORK} -mindepth 1 -delete && {_UNPACK}"


class Box(ABC):
    """A `Sandbox`, upon a way to start programs. A backend's class says what it cannot promise."""

    backend: str

    def __init__(self, spec: SandboxSpec) -> None:
        self._spec = spec
        self._shells: set[BoxShell] = set()

    @property
    def spec(self) -> SandboxSpec:
        """What it was made of."""
        return self._spec

    @abstractmethod
    async def open(self) -> None:
        """Make the box. Raises `SandboxFault`, or `UsageError` where something must be installed first."""

    @abstractmethod
    async def start(self, argv: Sequence[str]) -> Channel:
        """Start a program."""

    @abstractmethod
    async def close(self) -> None:
        """End everything in the box and remove it."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        files: Mapping[str, bytes] | None = None,
        fetch: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> Result:
        """Run a program to its end; see `Sandbox.run`."""
        _must_be_words(argv)
        patience = self._spec.wall_s if timeout_s is None else timeout_s
        if not (patience > 0 and math.isfinite(patience)):
            raise UsageError(f"A program in a sandbox needs a positive, finite timeout_s, got {timeout_s!r}.")
        wanted = {path: inside(path) for path in fetch}
        if files:
            await self.upload(files)
        done = await finish(await self.start(argv), stdin, self._spec.output_bytes, patience)
        if done.ended.exit_code in _NOT_FOUND and PurePosixPath(argv[0]).name.startswith("python"):
            await self._must_have(argv[0])
        found: dict[str, bytes] = {}
        for path, clean in wanted.items():
            read = await self._read(clean)
            if read.ended.exit_code == 0 and read.killed_by is None:
                found[path] = read.stdout
        return Result(done.ended.exit_code, done.stdout, done.stderr, done.usage, done.killed_by, found)

    async def shell(self) -> BoxShell:
        """Start a shell that lasts until it or the box is closed."""
        shell = BoxShell(await self.start(START), self._spec)
        self._shells = {known for known in self._shells if known.alive} | {shell}
        return shell

    async def upload(self, files: Mapping[str, bytes]) -> None:
        """Write files; see `Sandbox.upload`."""
        total = sum(map(len, files.values()))
        if total > self._spec.disk_bytes:
            raise UsageError(
                f"{total:,} bytes do not fit into a sandbox of {self._spec.disk_bytes:,}; raise disk_bytes."
            )
        done = await self._own(["sh", "-c", _UNPACK], stdin=pack(files))
        if not _succeeded(done):
            raise UsageError(f"The files {sorted(files)} could not be written: {_told(done)}")

    async def download(self, path: str) -> bytes:
        """Return a file's contents; see `Sandbox.download`."""
        done = await self._read(inside(path))
        if done.killed_by is KilledBy.OUTPUT:
            raise UsageError(f"{path!r} in the sandbox is larger than its {self._spec.disk_bytes:,} bytes.")
        if not _succeeded(done):
            raise UsageError(f"{path!r} in the sandbox could not be read: {_told(done)}")
        return done.stdout

    async def snapshot(self) -> bytes:
        """Return all that lies in `/work` as a tar archive; files that cannot be read are left out.

        Raises `NotForkableError` where it would be many times larger than the files may be.
        """
        most = 4 * self._spec.disk_bytes + MEBIBYTE
        done = await self._own(["tar", "-c", "-S", "--ignore-failed-read", "-f", "-", "."], output_bytes=most)
        if done.killed_by is not None or done.ended.exit_code > 1:  # 1: a file changed meanwhile
            raise NotForkableError(f"No snapshot of the sandbox could be taken: {_told(done)}")
        return done.stdout

    async def restore(self, snapshot: bytes) -> None:
        """Make `/work` what it was when the snapshot was taken."""
        done = await self._own(["sh", "-c", _REPLACE], stdin=snapshot)
        if not _succeeded(done):
            raise UsageError(f"The snapshot could not be restored: {_told(done)}")

    async def fork(self) -> Self:
        """Open another box of the same spec with the same files."""
        snapshot = await self.snapshot()
        other = type(self)(self._spec)
        await other.open()
        try:
            await other.restore(snapshot)
        except BaseException:
            await other.close()
            raise
        return other

    async def __aenter__(self) -> Self:
        """Make the box."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the box."""
        await self.close()

    async def _read(self, path: str) -> Finished:
        return await self._own(["sh", "-c", _READ, "sh", f"./{path}"], output_bytes=self._spec.disk_bytes)

    async def _must_have(self, interpreter: str) -> None:
        """Raise `UsageError` where the image has no such interpreter: not the fault of what was to run."""
        if not _succeeded(await self._own(["sh", "-c", 'command -v "$1"', "sh", interpreter])):
            raise UsageError(
                f"The sandbox's image {self._spec.image or '(its own)'!r} has no {interpreter}; install it there, "
                "or leave `image` empty for one that has Python 3."
            )

    async def _own(
        self, argv: Sequence[str], *, stdin: bytes = b"", output_bytes: int = MEBIBYTE
    ) -> Finished:
        return await finish(await self.start(argv), stdin, output_bytes, _PATIENCE_S)

    async def _close_shells(self) -> None:
        for shell in self._shells:
            with suppress(SandboxFault):  # its box is going anyway
                await shell.close()
        self._shells.clear()


def fault(backend: str, what: str) -> SandboxFault:
    """Return the error for a box that failed, and not by what ran in it."""
    return SandboxFault(f"The {backend} sandbox failed: {what.strip() or 'it does not say why'}")


def _must_be_words(argv: Sequence[str]) -> None:
    if isinstance(argv, str) or not argv or not all(map(can_be_told, argv)) or not argv[0]:
        raise UsageError(
            f"A sandbox runs a list of words, such as ['python3', 'tool.py'], without NUL or half characters; got {argv!r}."
        )


def _succeeded(done: Finished) -> bool:
    return done.ended.exit_code == 0 and done.killed_by is None


def _told(done: Finished) -> str:
    if done.killed_by is not None:
        return f"it was ended by its limit of {done.killed_by.value.replace('_', ' ')}."
    return done.stderr.decode("utf-8", "replace").strip()[-500:] or f"exit code {done.ended.exit_code}"
