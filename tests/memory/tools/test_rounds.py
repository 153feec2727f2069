"""Tools in rounds: the clock decides nothing, and whoever asks is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from agentgym.core.errors import SandboxFault
from agentgym.core.memory import MemoryItem
from agentgym.core.tool import ToolSpec
from agentgym.memory.tools.document import tool_item
from agentgym.memory.tools.rounds import InRounds
from agentgym.memory.tools.runner import Answer

ITEM = tool_item(ToolSpec("echo", "Echoes.", {"type": "object"}), "def run(args): return args\n")


class Together:
    """Answers once `count` calls are there."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._there = 0
        self._all: asyncio.Event | None = None
        self.threads: set[int] = set()

    async def call(self, item: MemoryItem, arguments: Mapping[str, Any]) -> Answer:
        self.threads.add(threading.get_ident())
        self._all = self._all or asyncio.Event()
        self._there += 1
        if self._there == self._count:
            self._all.set()
        await self._all.wait()
        if arguments["n"] == 1:
            raise SandboxFault("the second box broke")
        return Answer({"n": arguments["n"]})


def test_calls_of_one_moment_run_side_by_side_and_all_else_waits_for_them() -> None:
    caller = Together(3)
    rounds = InRounds(caller)
    events: list[str] = []

    async def ask(n: int) -> None:
        await asyncio.sleep(0)
        events.append(f"ask {n}")
        try:
            answer = await rounds.call(ITEM, {"n": n})
            events.append(f"told {answer.value['n']}")
        except SandboxFault as fault:
            events.append(str(fault))

    async def go_on() -> None:
        while "told 2" not in events:
            events.append("meanwhile")
            await asyncio.sleep(0)

    async def play() -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(3):
                group.create_task(ask(n))
            group.create_task(go_on())

    asyncio.run(play())
    assert [each for each in events if each != "meanwhile"] == [
        *("ask 0", "ask 1", "ask 2", "told 0", "the second box broke", "told 2"),
    ]
    begun, told = events.index("ask 2"), events.index("told 0")
    assert events[begun:told].count("meanwhile") <= 2, (
        "the loop turns no further than to the end of the round"
    )
    assert caller.threads
    assert threading.get_ident() not in caller.threads


def test_who_no_longer_waits_is_not_called_for_and_another_loop_begins_anew() -> None:
    caller = Together(1)
    rounds = InRounds(caller)

    async def give_up() -> None:
        asked = asyncio.create_task(rounds.call(ITEM, {"n": 0}))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    asyncio.run(give_up())
    assert not caller.threads
    loop = asyncio.new_event_loop()
    left = rounds.call(ITEM, {"n": 0})
    loop.call_soon(left.send, None)
    loop.stop()
    loop.run_forever()  # so far, and no further
    loop.close()
    left.close()
    assert asyncio.run(rounds.call(ITEM, {"n": 4})) == Answer({"n": 4})
