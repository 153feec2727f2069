"""How a program is brought to its end, on a channel that does as it is told."""

from __future__ import annotations

import asyncio

import pytest

from agentgym.core.errors import SandboxFault
from agentgym.core.sandbox import SandboxSpec
from agentgym.sandboxes.process import ProcessSandbox
from agentgym.sandboxes.running import Ended, Sink, finish


class Slow:
    """A program that has ended, and whose standard input takes its time to close."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        self.closing = asyncio.Event()
        self.killed = False

    async def write(self, data: bytes) -> None:
        if self.problem is not None:
            raise self.problem
        await asyncio.get_running_loop().create_future()

    async def end_input(self) -> None:
        if self.problem is None:
            self.closing.set()
            await asyncio.sleep(0.05)

    async def pump(self, sink: Sink) -> None:
        await asyncio.sleep(0)

    async def kill(self) -> None:
        self.killed = True

    async def wait(self) -> Ended:
        return Ended(0)


def test_a_cancellation_is_kept_while_the_input_is_being_closed() -> None:
    async def main() -> None:
        channel = Slow()
        running = asyncio.create_task(finish(channel, b"x", 10, 5.0))
        await channel.closing.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())


def test_an_input_that_fails_is_told() -> None:
    async def main() -> None:
        with pytest.raises(SandboxFault, match="the pipe broke"):
            await finish(Slow(SandboxFault("the pipe broke")), b"x", 10, 5.0)

    asyncio.run(main())


def test_a_program_that_is_killed_while_its_box_is_made_has_run_out_of_time() -> None:
    async def main() -> None:
        async with ProcessSandbox(SandboxSpec()) as box:
            ends = [await box.run(["sleep", "60"], timeout_s=0.002 * number) for number in range(1, 40)]
            assert {(end.exit_code, end.killed_by) for end in ends} == {(137, "wall_time")}

    asyncio.run(main())
