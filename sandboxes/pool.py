"""Boxes made ahead of their use, for backends that take their time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from agentgym.core.errors import UsageError
from agentgym.core.sandbox import Sandbox, SandboxSpec
from agentgym.sandboxes.backends import backend_class
from agentgym.sandboxes.box import Box


class WarmPool:
    """Keeps `size` boxes of one spec open and unused, so that whoever wants one need not wait.

        async with WarmPool(SandboxSpec(), 8, backend="docker") as pool:
            async with pool.sandbox() as box:
                ...

    A box is used once: it is removed afterwards, and another made in its place meanwhile.
    """

    def __init__(self, spec: SandboxSpec, size: int, backend: str = "docker") -> None:
        if size < 1:
            raise UsageError(f"A warm pool holds at least one sandbox, got size={size}.")
        self._spec = spec
        self._size = size
        self._kind = backend_class(backend)
        self._ready: deque[asyncio.Task[Box]] = deque()
        self._ending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Make the boxes; returns when all are there, and raises what the first of them raises."""
        self._refill()
        try:
            await asyncio.gather(*self._ready)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the boxes."""
        await self.close()

    @asynccontextmanager
    async def sandbox(self) -> AsyncGenerator[Sandbox]:
        """Take a box; where more are taken than are ready, wait for one to be made."""
        if not self._ready:
            raise UsageError("This warm pool is closed, or not open yet; use it inside `async with`.")
        making = self._ready.popleft()
        self._refill()
        try:
            box = await making
        except BaseException:
            self._end(making)
            raise
        try:
            yield box
        finally:
            self._end(making)

    async def close(self) -> None:
        """Remove all boxes that are not in use, and wait for those that are being removed."""
        while self._ready:
            self._end(self._ready.popleft())
        if self._ending:
            await asyncio.wait(self._ending)

    def _refill(self) -> None:
        while len(self._ready) < self._size:
            self._ready.append(asyncio.create_task(self._make()))

    async def _make(self) -> Box:
        box = self._kind(self._spec)
        await box.open()
        return box

    def _end(self, making: asyncio.Task[Box]) -> None:
        """Remove a box in the background, or stop its making."""
        task = asyncio.create_task(_removed(making))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _removed(making: asyncio.Task[Box]) -> None:
    making.cancel()  # does nothing where it is made
    await asyncio.wait({making})
    if not making.cancelled() and making.exception() is None:
        await making.result().close()
