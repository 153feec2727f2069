"""A program under bubblewrap: its streams, its end, and what it used."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from agentgym.core.errors import SandboxFault
from agentgym.core.sandbox import KilledBy
from agentgym.sandboxes.box import fault
from agentgym.sandboxes.cgroups import Cgroup, Reading
from agentgym.sandboxes.running import STDERR, STDOUT, Ended, Sink
from agentgym.sandboxes.seccomp import program

_CHUNK = 1 << 16
_SIGXCPU = 128 + signal.SIGXCPU
_SIGKILL = 128 + signal.SIGKILL

Command = Callable[[tuple[int, int, int]], Sequence[str]]
"""Makes the command line, given the descriptors of the filter, of the variables, and of bubblewrap's status."""


class Process:
    """A `Channel` of a process that this one started, with bubblewrap somewhere down its chain of `exec`."""

    def __init__(self, command: Command, variables: bytes, cpu_s: int, cgroup: Cgroup | None) -> None:
        self._cpu_s = cpu_s
        self._cgroup = cgroup
        self._before = Reading()
        if cgroup is not None:
            cgroup.make_room()
            self._before = cgroup.read()
        self._status, status_end = os.pipe()
        descriptors = (_written(program()), _written(variables), status_end)
        try:
            self._process = Popen(
                command(descriptors),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                bufsize=0,
                env={"PATH": os.defpath},
                cwd="/",
                pass_fds=descriptors,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._status)
            raise
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._watched = os.pidfd_open(self._process.pid)
        self._told: dict[str, Any] = {}
        self._errors = bytearray()
        self._waiting = asyncio.Lock()
        self._ended: Ended | SandboxFault | None = None
        self._reaped = self._killed = False
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        os.set_blocking(self._status, False)

    async def write(self, data: bytes) -> None:
        """Give it standard input."""
        pipe = self._process.stdin
        assert pipe is not None
        rest = memoryview(data)
        while rest and not pipe.closed:
            try:
                rest = rest[os.write(pipe.fileno(), rest[:_CHUNK]) :]
            except BlockingIOError:
                await _writable(pipe.fileno())
            except BrokenPipeError:
                return

    async def end_input(self) -> None:
        """Close its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def pump(self, sink: Sink) -> None:
        """Hand on what it writes, until nobody holds the other ends any more."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        streams = ((self._process.stdout, STDOUT), (self._process.stderr, STDERR))
        reading = [asyncio.create_task(self._read(pipe.fileno(), name, sink)) for pipe, name in streams]
        try:
            await asyncio.gather(*reading)
        finally:
            for task in reading:
                task.cancel()
            await asyncio.wait(reading)

    async def _read(self, descriptor: int, stream: int, sink: Sink) -> None:
        while True:
            try:
                data = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                await _readable(descriptor)
                continue
            if not data:
                return
            if stream == STDERR:
                self._errors = (self._errors + data)[-2000:]
            sink(stream, data)

    async def kill(self) -> None:
        """Kill the box's first process, which takes all others with it, or the chain before there is one."""
        if self._reaped:
            return
        self._killed = True
        self._listen()
        inner = int(self._told.get("child-pid", 0))
        if inner and _parent(inner) == self._process.pid:
            with suppress(ProcessLookupError):
                os.kill(inner, signal.SIGKILL)
        else:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._watched, signal.SIGKILL)

    async def wait(self) -> Ended:
        """Wait for bubblewrap's end, and for that of the box's first process, which comes when no other is left.

        Raises `SandboxFault` where it ended and was neither killed nor has said how the program ended.
        """
        async with self._waiting:
            if self._ended is None:
                await _readable(self._watched)
                code = self._reap()
                await self._emptied()
                self._ended = self._judge(code)
            if isinstance(self._ended, SandboxFault):
                raise self._ended
            return self._ended

    def _reap(self) -> int:
        self._reaped = True
        code = self._process.wait()
        self._listen()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        os.close(self._watched)
        os.close(self._status)
        return code

    async def _emptied(self) -> None:
        """Wait for the end of the box's first process: bubblewrap does not."""
        inner = int(self._told.get("child-pid", 0))
        if not inner or _namespace(inner) in (None, _namespace(os.getpid())):
            return
        try:
            watched = os.pidfd_open(inner)
        except ProcessLookupError:
            return
        try:
            await _readable(watched)
        finally:
            os.close(watched)
        if self._cgroup is not None:
            self._cgroup.has_ended(inner)

    def _judge(self, code: int) -> Ended | SandboxFault:
        now = self._cgroup.read() if self._cgroup else Reading()
        cpu_s = None if now.cpu_s is None else now.cpu_s - (self._before.cpu_s or 0.0)
        # bubblewrap that is killed while it makes a box says nothing, and ends as its child did.
        unsaid = 128 - code if code < 0 else _SIGKILL if self._killed else None
        exit_code = self._told.get("exit-code", unsaid)
        if now.oom_kills > self._before.oom_kills and exit_code != 0:
            return Ended(_SIGKILL, KilledBy.MEMORY, cpu_s, now.peak_memory_bytes)
        if exit_code is None:
            return fault("process", self._errors.decode("utf-8", "replace") or f"bwrap ended with {code}")
        over = exit_code == _SIGXCPU or (exit_code == _SIGKILL and (cpu_s or 0.0) >= self._cpu_s)
        return Ended(exit_code, KilledBy.CPU_TIME if over else None, cpu_s, now.peak_memory_bytes)

    def _listen(self) -> None:
        """Read what bubblewrap has said so far."""
        said = b""
        with suppress(BlockingIOError):
            while data := os.read(self._status, _CHUNK):
                said += data
        for line in said.splitlines():
            self._told |= json.loads(line)


def _written(data: bytes) -> int:
    """Return a descriptor of a file in memory, to be read from its beginning."""
    descriptor = os.memfd_create("agentgym")
    os.pwrite(descriptor, data, 0)
    return descriptor


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _namespace(pid: int) -> str | None:
    """Return the name of a process's namespace of processes; None where the process is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(descriptor, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
