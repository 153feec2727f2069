"""Which of a memory's tools an episode is offered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import agentgym
from agentgym.agents.toolcalling import ToolCallingAgent
from agentgym.core.agent import EpisodeStart
from agentgym.core.tool import ToolSpec
from agentgym.memory.credit.lottery import ExposureLottery
from agentgym.memory.recall import Recall
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.document import tool_item
from agentgym.memory.tools.runner import ToolRunner
from agentgym.memory.tools.toolbox import Toolbox
from tests.agents.boxes import TOLD, ToolBoxes, task
from tests.agents.playing import Parrot, call


def test_a_tool_that_chance_withholds_is_not_offered_and_does_not_answer(tmp_path: Path) -> None:
    """Whoever is offered a tool and then refused it is worse off than without it, and that would be its lift."""
    item = tool_item(
        ToolSpec("prize", "Which of the boxes holds the prize.", {"type": "object"}), "def run(args): ...\n"
    )

    async def play(toolbox: Toolbox, name: str) -> tuple[set[str], bool]:
        parrot = Parrot(call("prize"), call("open", box=1))
        world = ToolBoxes()
        _, info = world.reset(options={"task": task(ToolBoxes, 1)})
        session = ToolCallingAgent(parrot, memory=toolbox).start(EpisodeStart(name, world.task, 0, world))
        decision = await session.act(TOLD, info)
        assert item.version in (*decision.shown_items, *decision.withheld_items)
        if decision.withheld_items:
            assert "Unknown tool 'prize'" in str(decision.messages_delta)
        return {tool.name for tool in parrot.requests[0].tools}, bool(decision.withheld_items)

    with MemoryStore(tmp_path / "memory.db") as store:
        snapshot = store.take_snapshot([store.put(item)])
        lottery = ExposureLottery(Recall(store, snapshot), EvidenceLog(store), seed=0)
        toolbox = Toolbox(lottery, store, ToolRunner(agentgym.sandbox))
        met = [asyncio.run(play(toolbox, f"episode {n}")) for n in range(6)]
    own = {"peek", "open"}
    assert {withheld for _, withheld in met} == {True, False}
    assert all(offered == (own if withheld else {*own, "prize"}) for offered, withheld in met)
