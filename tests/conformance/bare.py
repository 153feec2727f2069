"""What a sandbox is not: programs run on the host as they are, files go wherever names and links lead."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

from agentgym.core.errors import UsageError
from agentgym.core.sandbox import KilledBy, Result, Sandbox, SandboxSpec, Shell, Usage

_OUTSIDE = ["unshare", "--mount", "--uts"]
"""The attacks' own mounts and the machine's name stay theirs, so that the test leaves the machine as it was."""


class Bare:
    """A `Sandbox` by its methods alone."""

    def __init__(self, spec: SandboxSpec) -> None:
        self.spec = spec
        self.home = Path(tempfile.mkdtemp(prefix="agentgym-bare-"))
        self.proxy = ""

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        files: Mapping[str, bytes] | None = None,
        fetch: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> Result:
        await self.upload(files or {})
        words = list(argv)
        if words[0] == "python3":
            words[0] = sys.executable
        elif words[0] == "printf":  # as whoever puts command lines together by hand
            words = ["sh", "-c", " ".join(words)]
        return await asyncio.to_thread(self._ran, words, stdin, timeout_s)

    def _ran(self, words: Sequence[str], stdin: bytes, timeout_s: float | None) -> Result:
        try:
            done = subprocess.run(
                [*_OUTSIDE, *words],
                env=os.environ | {"http_proxy": self.proxy},
                input=stdin,
                capture_output=True,
                cwd=self.home,
                close_fds=False,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Result(137, b"", b"", Usage(0.0), KilledBy.WALL_TIME)
        return Result(done.returncode, done.stdout, done.stderr, Usage(0.0))

    async def shell(self) -> Shell:
        raise UsageError("There are no shells here.")

    async def upload(self, files: Mapping[str, bytes]) -> None:
        for path, content in files.items():
            (self.home / "a").mkdir(exist_ok=True)
            (self.home / path).write_bytes(content)

    async def download(self, path: str) -> bytes:
        with (self.home / path).open("rb") as file:
            return file.read(3 * self.spec.disk_bytes)

    async def snapshot(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(self.home, ".")
        return buffer.getvalue()

    async def restore(self, snapshot: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(snapshot)) as archive:
            for member in archive:
                target = os.path.join(self.home, member.name)  # noqa: PTH118 - an absolute name wins
                if member.issym():
                    Path(target).unlink(missing_ok=True)
                    os.symlink(member.linkname, target)  # noqa: PTH211
                else:
                    content = archive.extractfile(member)
                    assert content is not None
                    Path(target).write_bytes(content.read())

    async def fork(self) -> Sandbox:
        return Bare(self.spec)

    async def close(self) -> None:
        shutil.rmtree(self.home)


@asynccontextmanager
async def bare(spec: SandboxSpec) -> AsyncGenerator[Sandbox]:
    box = Bare(spec)
    led: set[asyncio.Task[None]] = set()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_lead_anywhere(reader, writer))
        led.add(task)
        await asyncio.wait([task])

    server = await asyncio.start_server(lead, "127.0.0.1", 0)
    box.proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield box
    finally:
        server.close()
        for task in led:  # what an attack left open
            task.cancel()
        await asyncio.gather(*led, return_exceptions=True)
        await box.close()


async def _lead_anywhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy that lets everything through, as long as it can make something of it."""
    with closing(writer):
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                target = request.decode("latin-1").split()[1]
                if target.startswith("file://"):
                    writer.write(Path(target.removeprefix("file://")).read_bytes())
                    return
                host, _, port = target.removeprefix("http://").rpartition("@")[2].strip("/").rpartition(":")
                far_reader, far_writer = await asyncio.open_connection(host, int(port))
                with closing(far_writer):
                    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    writer.write(await far_reader.read(1000))
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            writer.write(f"HTTP/1.1 502 {error}\r\n\r\n".encode())
