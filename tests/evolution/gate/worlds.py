"""A world in which advice helps or harms, and an agent that takes it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from agentgym.agents.chat import ChatAgent
from agentgym.agents.toolcalling import ToolCallingAgent
from agentgym.core.memory import ItemKind, Memory, MemoryItem
from agentgym.core.policy import Completion, FinishReason, GenerationRequest
from agentgym.core.tool import ToolSpec
from agentgym.evolution.gate.replay import Replay, ReplaySettings
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.document import Example, tool_item
from agentgym.policies.tool_calls import parse_answer
from tests.agents.boxes import Spec, Suite, TextBoxes, ToolBoxes
from tests.agents.playing import call
from tests.evolution.gate.tools import PATIENT

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


class SumBoxes(ToolBoxes):
    """Says where the prize is, to who can reckon."""

    suite = Suite("test/SumBoxes-v0")

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        told, info = super().reset(seed=seed, options=options)
        first = 17 + self._task.seed
        return f"{told} Its number is {first + self._prize} less {first}.", info


LESS = tool_item(
    ToolSpec(
        "number-of-the-prize",
        "Tells a number less another.",
        {
            "type": "object",
            "properties": {"one": {"type": "integer"}, "other": {"type": "integer"}},
            "required": ["one", "other"],
        },
    ),
    "def run(args):\n    return {'number': args['one'] - args['other']}\n",
    {"test_less.py": "from tool import run\nassert run({'one': 5, 'other': 3}) == {'number': 2}\n"},
    examples=[Example({"one": 3, "other": 5}, {"number": -2})],
)


class Reckoner(Believer):
    """Opens the first box, unless it has a tool to reckon with."""

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        texts = [self._call(request) for request in requests]
        return [Completion(text, FinishReason.STOP, 0, message=parse_answer(text, "c")) for text in texts]

    def _call(self, request: GenerationRequest) -> str:
        numbers = re.search(r"(\d+) less (\d+)", request.messages[1].content)
        last = request.messages[-1]
        if last.role == "tool":
            return call("open", box=json.loads(last.content)["number"])
        if LESS.name in {tool.name for tool in request.tools} and numbers is not None:
            return call(LESS.name, one=int(numbers[1]), other=int(numbers[2]))
        return call("open", box=1)


def reckoning(store: MemoryStore, tasks: int = 12) -> Replay:
    def make(memory: Memory) -> ToolCallingAgent:
        return ToolCallingAgent(Reckoner(), memory=memory)

    return Replay(store, Spec(SumBoxes), make, ReplaySettings(tasks=tasks, max_turns=8), runner=PATIENT)
