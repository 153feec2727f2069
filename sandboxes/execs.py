"""A program in a container: Docker's `exec`, over a connection of its own so that no byte of it is lost."""

from __future__ import annotations

import asyncio
import json
import signal
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

from docker import DockerClient

from agentgym.core.errors import SandboxFault
from agentgym.core.sandbox import KilledBy
from agentgym.sandboxes.box import fault
from agentgym.sandboxes.cgroups import Cgroup, Reading
from agentgym.sandboxes.daemon import socket_path, told
from agentgym.sandboxes.running import Ended, Sink

_CHUNK = 1 << 16
_IDLE_S, _LONGEST_IDLE_S = 0.1, 1.0
"""Seconds of silence after which the daemon is asked whether the program still runs, growing."""
_REST_S = 1.0
"""After a program's end the rest of what it wrote comes with no longer pauses than this."""
_POLL_S = 0.005
_SIGXCPU = 128 + signal.SIGXCPU
_SIGKILL = 128 + signal.SIGKILL


class Exec:
    """A `Channel` of a program that Docker runs in a container."""

    def __init__(
        self,
        client: DockerClient,
        id: str,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        cgroup: Cgroup | None,
        sweep: Callable[[Exec], Awaitable[None]],
        over: Callable[[Exec], Awaitable[None]],
    ) -> None:
        self._client = client
        self._id = id
        self._reader, self._writer = streams
        self._cgroup = cgroup
        self._before = cgroup.read() if cgroup else Reading()
        self._sweep = sweep
        self._over = over
        self._waiting = asyncio.Lock()
        self._ended: Ended | None = None
        self.swept_by_another = False
        """Whether it was killed because another program of the box had to be."""

    @classmethod
    async def start(
        cls,
        client: DockerClient,
        id: str,
        cgroup: Cgroup | None,
        sweep: Callable[[Exec], Awaitable[None]],
        over: Callable[[Exec], Awaitable[None]],
    ) -> Self:
        """Start what `exec_create` has made ready."""
        with told("starting a program"):
            reader, writer = await asyncio.open_unix_connection(socket_path())
            body = json.dumps({"Detach": False, "Tty": False}).encode()
            version = str(client.api.api_version)
            head = (
                f"POST /v{version}/exec/{id}/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
                f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            try:
                writer.write(head.encode() + body)
                answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                if answer.split()[1] not in ("101", "200"):
                    rest = await reader.read(2000)
                    raise fault("docker", rest.decode("utf-8", "replace"))
            except asyncio.IncompleteReadError as error:
                writer.close()
                raise fault("docker", "the daemon closed the connection") from error
            except BaseException:
                writer.close()
                raise
        return cls(client, id, (reader, writer), cgroup, sweep, over)

    async def write(self, data: bytes) -> None:
        """Give it standard input."""
        with suppress(ConnectionError):
            for start in range(0, len(data), _CHUNK):
                self._writer.write(data[start : start + _CHUNK])
                await self._writer.drain()

    async def end_input(self) -> None:
        """Close its standard input."""
        with suppress(OSError, RuntimeError):
            if self._writer.can_write_eof():
                self._writer.write_eof()

    async def pump(self, sink: Sink) -> None:
        """Hand on what it writes, until it has ended.

        Docker keeps the connection open for as long as anybody holds its other end, such as a process left behind: so
        the daemon is asked now and then.
        """
        idle, over = _IDLE_S, False
        header: asyncio.Task[bytes] | None = None
        try:
            while True:
                header = header or asyncio.create_task(self._reader.readexactly(8))
                done, _ = await asyncio.wait({header}, timeout=_REST_S if over else idle)
                if done:
                    stream, size = struct.unpack(">BxxxL", header.result())
                    header, idle = None, _IDLE_S
                    while size:
                        data = await self._reader.read(min(size, _CHUNK))
                        if not data:
                            return
                        size -= len(data)
                        sink(stream, data)
                elif over:
                    return
                else:
                    over = not (await self._inspect())["Running"]
                    idle = min(2 * idle, _LONGEST_IDLE_S)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            if header is not None:
                header.cancel()
                await asyncio.wait({header})

    async def kill(self) -> None:
        """Kill it, with everything else in the box: Docker has no way to kill one program and all it started."""
        if self._ended is None:
            self._writer.transport.abort()  # the daemon stands still where nobody reads what it has to hand on
            await self._sweep(self)

    async def wait(self) -> Ended:
        """Wait for its end. Raises `SandboxFault` where another program's end was its own."""
        async with self._waiting:
            if self._ended is None:
                exit_code = await self.exit_code()
                await self._over(self)
                self._ended = self._judge(exit_code)
        if self.swept_by_another:
            raise SandboxFault(
                "Another program of the same docker sandbox had to be killed, and this one with it; run programs "
                "that may have to be killed one after the other, or in boxes of their own."
            )
        return self._ended

    async def exit_code(self) -> int | None:
        """Wait for its end alone, and let go of it."""
        while (state := await self._inspect())["Running"]:
            await asyncio.sleep(_POLL_S)
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
        return state["ExitCode"]

    def _judge(self, exit_code: int | None) -> Ended:
        now = self._cgroup.read() if self._cgroup else Reading()
        cpu_s = None if now.cpu_s is None else now.cpu_s - (self._before.cpu_s or 0.0)
        code = _SIGKILL if exit_code is None else exit_code
        if now.oom_kills > self._before.oom_kills and code != 0:
            return Ended(_SIGKILL, KilledBy.MEMORY, cpu_s, now.peak_memory_bytes)
        return Ended(code, KilledBy.CPU_TIME if code == _SIGXCPU else None, cpu_s, now.peak_memory_bytes)

    async def _inspect(self) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            with told("asking after a program"):
                return dict(self._client.api.exec_inspect(self._id))

        return await asyncio.to_thread(ask)
