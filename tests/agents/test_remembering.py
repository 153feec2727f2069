"""What chance keeps out of an episode is not there to be called in it either."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from agentgym.agents.remembering import Remembrance
from agentgym.core.agent import EpisodeStart
from agentgym.core.memory import Recollection
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Versions
from tests.agents.boxes import ToolBoxes, task


class TwoTools:
    """A memory of two tools, one of which is withheld."""

    versions = Versions()
    tools: Sequence[ToolSpec] = (ToolSpec("double", "Doubles."), ToolSpec("halve", "Halves."))

    async def recall(self, start: EpisodeStart, situation: str) -> Recollection:
        return Recollection("Call double.", ("v-double",), ("v-halve",))

    async def call(self, start: EpisodeStart, name: str, arguments: Mapping[str, Any]) -> Recollection:
        return Recollection("42", (f"v-{name}",))


def test_a_withheld_tool_does_not_answer() -> None:
    async def play() -> tuple[str, str, tuple[str, ...]]:
        notes = Remembrance(TwoTools(), EpisodeStart("session", task(ToolBoxes, 1), 0, ToolBoxes()))
        await notes.before("There are boxes.")
        answers = await notes.call("double", {}), await notes.call("halve", {})
        return *answers, notes.news().shown

    assert asyncio.run(play()) == ("42", "There is no tool 'halve'.", ("v-double", "v-double"))
