"""Tools called in rounds, so that what is sampled beside them depends on no clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from agentgym.core.errors import SandboxFault
from agentgym.core.memory import MemoryItem
from agentgym.memory.tools.runner import Answer, ToolCaller

AT_ONCE = 8
"""Sandboxes open at the same time."""

_T = TypeVar("_T")


class InRounds:
    """Calls that are made at one time run side by side, and the event loop waits for all of them.

    The conversations of many episodes go on together, and the last bits of a policy's sums depend on which of them it
    answers together. If each went on when its tool is done, that would be for the clock to decide. So calls are like
    the steps of an environment on the loop itself: after them everything goes on in the order in which it was asked.
    """

    def __init__(self, caller: ToolCaller) -> None:
        self._caller = caller
        self._asked: list[_Call] = []

    async def call(self, item: MemoryItem, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool; see `ToolRunner.call`."""
        loop = asyncio.get_running_loop()
        if not self._asked or self._asked[0].answered.get_loop() is not loop:  # that one is gone
            self._asked = []
            loop.call_soon(self._play_round)
        answered: asyncio.Future[Answer] = loop.create_future()
        self._asked.append(_Call(item, arguments, answered))
        return await answered

    def _play_round(self) -> None:
        asked, self._asked = self._asked, []
        calls = [call for call in asked if not call.answered.done()]
        answers: list[Answer | BaseException]
        try:
            answers = apart(self._side_by_side(calls))
        except Exception as error:  # noqa: BLE001 - whoever asked must hear of it
            answers = [SandboxFault(f"No tools could be called: {error!r}.")] * len(calls)
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, BaseException):
                call.answered.set_exception(answer)
            else:
                call.answered.set_result(answer)

    async def _side_by_side(self, calls: Sequence[_Call]) -> list[Answer | BaseException]:
        door = asyncio.Semaphore(AT_ONCE)

        async def answer(call: _Call) -> Answer:
            async with door:
                return await self._caller.call(call.item, call.arguments)

        return await asyncio.gather(*map(answer, calls), return_exceptions=True)


class _Call(NamedTuple):
    item: MemoryItem
    arguments: Mapping[str, Any]
    answered: asyncio.Future[Answer]


def apart(work: Coroutine[Any, Any, _T]) -> _T:
    """Return what comes of `work` on an event loop of its own, in another thread; whoever calls waits for it."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
