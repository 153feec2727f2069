"""A world in which advice helps or harms, and an agent that takes it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentgym.agents.chat import ChatAgent
from agentgym.core.memory import ItemKind, Memory, MemoryItem
from agentgym.core.policy import Completion, FinishReason, GenerationRequest
from agentgym.evolution.gate.replay import Replay, ReplaySettings
from agentgym.memory.store.store import MemoryStore
from tests.agents.boxes import Spec, TextBoxes

SPEC = Spec(TextBoxes)
HELPS = "The prize in a box: peek into each box before you open one."
HARMS = "The prize in a box: never open a box that may hold the prize."
IDLE = "The prize in a box is of no use to you."


class Believer:
    """Opens the first box, unless its notes say to peek first, or never to open anything."""

    version = 0

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        return [Completion(_answer(request), FinishReason.STOP, 0) for request in requests]

    def end_session(self, session_id: str) -> None:
        pass


def _answer(request: GenerationRequest) -> str:
    said = "\n".join(message.content for message in request.messages)
    if "never open" in said:
        return "wait"
    if "peek into each" not in said:
        return "open 1"
    found = re.search(r"Box (\d) holds", said)
    return f"open {found[1]}" if found else f"peek {said.count('is empty') + 1}"


def believer(memory: Memory) -> ChatAgent:
    return ChatAgent(Believer(), memory=memory)


def replay(store: MemoryStore, tasks: int = 40) -> Replay:
    return Replay(store, SPEC, believer, ReplaySettings(tasks=tasks, max_turns=8))


def advice(text: str, name: str = "advice", space: str = "") -> MemoryItem:
    return MemoryItem(ItemKind.PRINCIPLE, name, text, text, space)
