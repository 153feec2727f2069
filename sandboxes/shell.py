"""A shell that lasts, over the streams of a program in a box."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
from time import perf_counter

from agentgym.core.errors import StepError
from agentgym.core.sandbox import KilledBy, Result, SandboxSpec, Usage
from agentgym.sandboxes.running import Channel

START = ("sh", "-c", "exec 2>&1; exec sh")
"""One stream for both, so that they come in the order in which they were written."""

_PATIENCE_S = 5.0
"""For the end of what a killed shell wrote."""


class BoxShell:
    """A `Shell`: each command is evaluated by one `sh`, and followed by a mark that nobody can foretell.

    What background processes write comes with the command that runs when they write it. A program that finds out the
    mark (it can read the memory of its own shell, say) can forge an exit code: its own.
    """

    def __init__(self, channel: Channel, spec: SandboxSpec) -> None:
        self._channel = channel
        self._spec = spec
        self._output = bytearray()
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()
        self._reading = asyncio.create_task(self._read())
        self._closed = False

    @property
    def alive(self) -> bool:
        """Whether it takes another command."""
        return not self._closed and not self._reading.done()

    async def run(self, command: str, *, timeout_s: float | None = None) -> Result:
        """Run a command; see `Shell.run`."""
        async with self._turn:
            if not self.alive:
                await self.close()
                await self._channel.wait()  # raises where it was not the shell's own end
                raise StepError("This shell has ended; open another with `await box.shell()`.")
            started = perf_counter()
            mark = f"agentgym-{secrets.token_hex(16)}"
            # `command` keeps the shell alive where a special builtin fails, such as `eval` on a syntax error.
            line = f"command eval {shlex.quote(command)} </dev/null\nprintf '%s %d\\n' {mark} $?\n"
            killed_by: KilledBy | None = None
            found: re.Match[bytes] | None = None
            try:
                async with asyncio.timeout(self._spec.wall_s if timeout_s is None else timeout_s):
                    await self._channel.write(line.encode("utf-8", "replace"))
                    found = await self._marked(mark.encode())
            except TimeoutError:
                killed_by = KilledBy.WALL_TIME
            except asyncio.CancelledError:  # what the command would write would come with the next one
                await asyncio.shield(self.close())
                raise
            if found is None and killed_by is None and len(self._output) > self._spec.output_bytes:
                killed_by = KilledBy.OUTPUT
            if found is None:  # it has ended, or must
                await self.close()
                ended = await self._channel.wait()
                exit_code, killed_by = ended.exit_code, killed_by or ended.killed_by
                end = rest = len(self._output)
            else:
                exit_code, (end, rest) = int(found[1]), found.span()
            wrote = bytes(self._output[: min(end, self._spec.output_bytes)])
            del self._output[:rest]
            return Result(exit_code, wrote, b"", Usage(perf_counter() - started), killed_by)

    async def close(self) -> None:
        """End the shell with all that runs in it."""
        if self._closed:
            return
        self._closed = True
        await self._channel.end_input()
        await self._channel.kill()
        await asyncio.wait({self._reading}, timeout=_PATIENCE_S)
        self._reading.cancel()
        await asyncio.wait({self._reading})
        await self._channel.wait()

    async def _marked(self, mark: bytes) -> re.Match[bytes] | None:
        """Wait for the mark with the exit code behind it, and return where they are; None where the shell ended."""
        line = re.compile(mark + rb" (\d{1,3})\n")
        looked = 0
        while True:
            self._news.clear()
            found = line.search(self._output, max(0, looked - len(mark) - len(" 255\n")))
            looked = len(self._output)
            if found is not None:
                return found
            if self._reading.done() or looked > self._spec.output_bytes:
                return None
            await self._news.wait()

    async def _read(self) -> None:
        try:
            await self._channel.pump(self._take)
        finally:
            self._news.set()

    def _take(self, stream: int, data: bytes) -> None:
        # What is beyond the limit cannot be shown, and ends the command or the next one.
        room = self._spec.output_bytes + 200 - len(self._output)
        self._output += data[: max(0, room)]
        self._news.set()
