"""A program under way in a box, whatever the backend, and how it is brought to its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple, Protocol, TypeAlias

from agentgym.core.sandbox import KilledBy, Usage

STDOUT, STDERR = 1, 2
Sink: TypeAlias = Callable[[int, bytes], None]
"""Takes what came on a stream."""


class Ended(NamedTuple):
    """How a program ended, as far as the backend knows."""

    exit_code: int
    killed_by: KilledBy | None = None
    cpu_s: float | None = None
    peak_memory_bytes: int | None = None


class Channel(Protocol):
    """A program with its streams."""

    async def write(self, data: bytes) -> None:
        """Give it standard input. Does nothing where it no longer reads."""
        ...

    async def end_input(self) -> None:
        """Close its standard input."""
        ...

    async def pump(self, sink: Sink) -> None:
        """Hand on what it writes, until nothing more can come."""
        ...

    async def kill(self) -> None:
        """Kill it with everything that it started. Returns at once; `wait` tells when it is done."""
        ...

    async def wait(self) -> Ended:
        """Wait for its end, and for the end of everything that it started. Not while it is being pumped."""
        ...


class Finished(NamedTuple):
    """What a program came to."""

    ended: Ended
    stdout: bytes
    stderr: bytes
    usage: Usage
    killed_by: KilledBy | None


class Flood(Exception):
    """More came than is kept."""


class Kept:
    """Both streams, up to `most` bytes of each. Raises `Flood` beyond."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._streams = {STDOUT: bytearray(), STDERR: bytearray()}

    def __call__(self, stream: int, data: bytes) -> None:
        """Keep what fits."""
        kept = self._streams[stream]
        kept += data[: self._most - len(kept)]
        if len(data) > 0 and len(kept) >= self._most:
            raise Flood

    def __getitem__(self, stream: int) -> bytes:
        """Return what came on a stream."""
        return bytes(self._streams[stream])


async def finish(channel: Channel, stdin: bytes, output_bytes: int, timeout_s: float) -> Finished:
    """Feed a program, read it, and wait for its end; kill it where it takes or writes too much.

    However this is left, cancelled included, nothing of the program runs on.
    """
    started = perf_counter()
    kept = Kept(output_bytes + 1)
    killed_by: KilledBy | None = None
    feeding = asyncio.create_task(_feed(channel, stdin))
    ended: Ended | None = None
    try:
        async with asyncio.timeout(timeout_s):
            await channel.pump(kept)
            ended = await channel.wait()
    except TimeoutError:
        killed_by = KilledBy.WALL_TIME
    except Flood:
        killed_by = KilledBy.OUTPUT
    finally:
        feeding.cancel()
        try:
            await asyncio.wait(
                {feeding}
            )  # not the task itself: a cancellation of ours would be taken for its own
        finally:
            if ended is None:
                await asyncio.shield(_end(channel))
    if not feeding.cancelled() and (problem := feeding.exception()) is not None:
        raise problem
    if ended is None:  # whatever it made of its death
        ended = (await channel.wait())._replace(exit_code=128 + signal.SIGKILL)
    usage = Usage(perf_counter() - started, ended.cpu_s, ended.peak_memory_bytes)
    return Finished(
        ended, kept[STDOUT][:output_bytes], kept[STDERR][:output_bytes], usage, killed_by or ended.killed_by
    )


async def _feed(channel: Channel, stdin: bytes) -> None:
    try:
        await channel.write(stdin)
    finally:
        await channel.end_input()


async def _end(channel: Channel) -> None:
    await channel.kill()
    await channel.wait()
