"""What an agent does with a memory in one episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agentgym.core.agent import EpisodeStart
from agentgym.core.memory import Memory, Recollection
from agentgym.core.policy import Completion
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Versions


class News(NamedTuple):
    """Versions of memory items, since the last time."""

    shown: tuple[str, ...] = ()
    """Those that have come into the conversation."""
    withheld: tuple[str, ...] = ()
    """Those that chance has kept out of it."""


class Remembrance:
    """The memory of one episode, or none.

    What it shows goes into the conversation as a delimited block before the first observation: in the user's message,
    not in the system prompt, which is the agent's own.
    """

    def __init__(self, memory: Memory | None, start: EpisodeStart) -> None:
        self._memory = memory
        self._start = start
        self._news = News()
        self._withheld: set[str] = set()
        self._barred: set[str] = set()

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """The memory's tools, without those that chance keeps out of the episode."""
        offered = self._memory.tools if self._memory is not None else ()
        return [tool for tool in offered if tool.name not in self._barred]

    @property
    def versions(self) -> Versions:
        """Which state of the memory it is."""
        return self._memory.versions if self._memory is not None else Versions()

    async def before(self, situation: str) -> str:
        """Return the first observation, after what the memory has for it."""
        if self._memory is None:
            return situation
        text = self._note(await self._memory.recall(self._start, situation))
        return f"{text}\n\n{situation}" if text else situation

    async def answer(self, completion: Completion) -> str | None:
        """Return what the memory says to an answer that calls one of its tools first; None for any other."""
        names = {tool.name for tool in self.tools}
        if self._memory is None or not completion.tool_calls or completion.tool_calls[0].name not in names:
            return None
        call = completion.tool_calls[0]
        return await self.call(call.name, call.arguments)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Return what one of the memory's tools answers; what chance has kept out is not there to be called either."""
        if self._memory is None:
            return ""
        if name in self._barred:
            return f"There is no tool {name!r}."
        answer = await self._memory.call(self._start, name, arguments)
        if self._withheld & set(answer.shown):
            return f"There is no tool {name!r}."
        return self._note(answer)

    def news(self) -> News:
        """Return what has been shown and withheld since the last call."""
        news, self._news = self._news, News()
        return news

    def _note(self, recollection: Recollection) -> str:
        self._withheld.update(recollection.withheld)
        self._barred.update(recollection.barred)
        shown, withheld = self._news
        self._news = News((*shown, *recollection.shown), (*withheld, *recollection.withheld))
        return recollection.text
