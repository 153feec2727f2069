"""Environments in processes of their own: the near side of `agentgym.rollout.nursery`."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.rollout.hosts import EnvHost
from agentgym.rollout.nursery import LENGTH, NUMBER
from agentgym.rollout.rules import Limits
from agentgym.rollout.seat import MakeEnv


class Nursery:
    """Begins and ends the workers of one kind of environment; its own process starts with the first.

    `patience_s` is how long that process may take to import the environment. Raises `UsageError` where
    `make_env` does not pickle.
    """

    def __init__(self, make_env: MakeEnv, patience_s: float) -> None:
        try:
            self._pickled: bytes = cloudpickle.dumps(make_env)
        except Exception as error:
            raise UsageError(
                f"stepping 'process' needs a way to make the environment that can be pickled: {error!r}. Use "
                "`agentgym.registry.factory`, a function of a module, or stepping 'thread'."
            ) from error
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def begin(self) -> _Worker:
        """Return a new worker, without an environment so far; raises `EnvironmentFault` where none can begin."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                pid = await asyncio.to_thread(self._command, 0, theirs)
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()  # a worker that began all the same ends by that
            raise
        return _Worker(pid, reader, writer)

    async def end(self, worker: _Worker) -> int:
        """Kill a worker, if it still lives, and return its exit status."""
        worker.writer.close()
        with suppress(OSError):
            await worker.writer.wait_closed()
        return await asyncio.to_thread(self._command, worker.pid)

    def close(self) -> None:
        """End the nursery and every worker that is left."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._control is not None and self._process is not None:
            self._control.close()
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._control = self._process = None

    def _command(self, pid: int, connection: socket.socket | None = None) -> int:
        """Tell the nursery something and return its answer."""
        with self._lock:
            if self._control is None:
                self._control = self._start()
            try:
                descriptors = [connection.fileno()] if connection is not None else []
                socket.send_fds(self._control, [NUMBER.pack(pid)], descriptors)
                answer = self._control.recv(NUMBER.size, socket.MSG_WAITALL)
            except OSError:
                answer = b""
            if len(answer) < NUMBER.size:
                self._close()
                raise EnvironmentFault(
                    "The process that environments begin in has died, or could not import the environment within "
                    f"{self._patience_s:g} s."
                )
            return NUMBER.unpack(answer)[0]

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from agentgym.rollout.nursery import main; "
            f"main({theirs.fileno()})"
        )
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        ours.settimeout(self._patience_s)
        ours.sendall(LENGTH.pack(len(self._pickled)) + self._pickled)
        return ours


@dataclass(frozen=True, slots=True)
class _Worker:
    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, call: str, args: tuple[Any, ...]) -> bytes:
        """Return the answer as it came; raises `EOFError` or `OSError` where the process is gone."""
        if call == "use":  # what makes environments may be the program's own, which the worker cannot import
            data: bytes = cloudpickle.dumps((call, args))
        else:
            data = pickle.dumps((call, args), pickle.HIGHEST_PROTOCOL)
        self.writer.write(LENGTH.pack(len(data)) + data)
        await self.writer.drain()
        (length,) = LENGTH.unpack(await self.reader.readexactly(LENGTH.size))
        return await self.reader.readexactly(length)


class ProcessHost(EnvHost):
    """In a process of its own. One that hangs is killed."""

    def __init__(self, nursery: Nursery, limits: Limits) -> None:
        super().__init__(limits)
        self._nursery = nursery
        self._worker: _Worker | None = None
        self._midway = False
        """Whether an answer is still to come from a call that was given up."""

    async def close(self) -> None:
        """Close the environment and end its process."""
        if self._worker is None:
            return
        try:
            if not self._midway:
                await self._ask("close")
        finally:
            await self._end()

    async def discard(self) -> None:
        """End the process; the next reset begins another."""
        with suppress(EnvironmentFault):  # it is let go of anyhow
            await self._end()

    async def _ask(self, call: str, *args: Any) -> Any:
        if self._midway:
            await self._end()
        limit = self._limit(call)
        self._midway = True
        timeout = asyncio.timeout(limit)
        try:
            async with timeout:
                if self._worker is None:
                    self._worker = await self._nursery.begin()
                data = await self._worker.ask(call, args)
        except TimeoutError:
            if not timeout.expired():
                raise
            self.lost += 1
            await self._end()
            raise EnvironmentFault(
                f"The environment's {call} took longer than {limit:g} s; its process was killed."
            ) from None
        except (EOFError, OSError):
            self.lost += 1
            status = await self._end()
            raise EnvironmentFault(
                f"The environment's process ended in {call}, with exit status {status}."
            ) from None
        self._midway = False
        return _answer(call, data)

    async def _end(self) -> int | None:
        """End the worker, if there is one, and return its exit status."""
        worker, self._worker, self._midway = self._worker, None, False
        return await self._nursery.end(worker) if worker is not None else None


def _answer(call: str, data: bytes) -> Any:
    try:
        good, value = pickle.loads(data)
    except Exception as error:
        raise EnvironmentFault(
            f"What the environment's {call} gave cannot be unpickled: {error!r}."
        ) from error
    if not good:
        raise value
    return value
