"""A tiny world with tools, and the same as a text world: one of three boxes holds the prize."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import gymnasium as gym

from agentgym.core.env import Action, AgentEnv, StepResult
from agentgym.core.spaces import ToolCallSpace, Utf8Text
from agentgym.core.task import Split, Task, TaskSuite
from agentgym.core.tool import ToolCall, ToolSpec

BOXES = (1, 2, 3)
MOVES = 6
SCHEMA = {
    "type": "object",
    "properties": {"box": {"type": "integer", "enum": list(BOXES)}},
    "required": ["box"],
    "additionalProperties": False,
}
TOOLS = (ToolSpec("peek", "Look into a box.", SCHEMA), ToolSpec("open", "Open a box for good.", SCHEMA))
TOLD = "One of the boxes 1, 2 and 3 holds the prize. Open it."


class Suite:
    """A prize in each of the boxes, many times."""

    name, version = "boxes", "1"
    heldout_differs = "not at all"

    def __init__(self, env_id: str) -> None:
        self.env_id = env_id

    def tasks(self, split: Split | str) -> Sequence[Task]:
        split = Split.parse(split)
        return [
            Task(f"box-{box}-{seed}", self.env_id, split, seed, params={"prize": box})
            for seed in range(20)
            for box in BOXES
        ]


class ToolBoxes(AgentEnv):
    """`peek` tells whether the prize is in a box, `open` ends the episode."""

    suite = Suite("test/ToolBoxes-v0")
    split = Split.TRAIN
    tools = TOOLS
    observation_space = Utf8Text()
    action_space: gym.Space[Any] = ToolCallSpace(TOOLS)

    @property
    def task(self) -> Task:
        return self._task

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        self._task: Task = options["task"]
        self._seen = list[int]()
        self._moves = 0
        return TOLD, self._info(valid=True)

    def step(self, action: Any) -> StepResult:
        name, box = self.read(action)
        self._moves += 1
        right, out_of_moves = box == self._prize, self._moves == MOVES
        if name == "open":
            told = f"You {'won' if right else 'lost'}."
            return told, float(right), True, False, self._info(valid=True, success=right)
        if name != "peek":
            return "Nothing happens.", 0.0, False, out_of_moves, self._info(valid=False)
        self._seen = sorted({*self._seen, box})
        told = f"Box {box} {'holds the prize' if right else 'is empty'}."
        return told, 0.0, False, out_of_moves, self._info(valid=True)

    def state_key(self) -> str:
        return f"{self._task.id} {self._seen} {self._moves}"

    def snapshot(self) -> bytes:
        return json.dumps([self._task.to_json(), self._seen, self._moves]).encode()

    def restore(self, snapshot: bytes) -> None:
        task, self._seen, self._moves = json.loads(snapshot)
        self._task = Task.from_json(task)

    def oracle(self) -> Action | None:
        unseen = [box for box in BOXES if box not in self._seen]
        if self._prize in self._seen or len(unseen) == 1:
            return self.action("open", self._prize)
        return self.action("peek", unseen[0])

    def read(self, action: Any) -> tuple[str, int]:
        return action.name, action.arguments["box"]

    def action(self, name: str, box: int) -> Action:
        return ToolCall(name, {"box": box})

    @property
    def _prize(self) -> int:
        return self._task.params["prize"]

    def _info(self, *, valid: bool, success: bool = False) -> dict[str, Any]:
        admissible = [self.action(name, box) for name in ("peek", "open") for box in BOXES]
        return {
            "valid": valid,
            "success": success,
            "instruction": "open the box with the prize",
            "admissible_actions": admissible,
        }


class TextBoxes(ToolBoxes):
    """The same by commands such as `peek 1`."""

    suite = Suite("test/TextBoxes-v0")
    tools = ()
    action_space = Utf8Text()

    def read(self, action: Any) -> tuple[str, int]:
        found = re.fullmatch(r"(peek|open) ([123])", action)
        return (found[1], int(found[2])) if found else ("", 0)

    def action(self, name: str, box: int) -> Action:
        return f"{name} {box}"


def task(env: type[ToolBoxes], prize: int) -> Task:
    return env.suite.tasks("train")[prize - 1]


class Spec:
    """The registration of a world."""

    summary = "Three boxes, one prize."

    def __init__(self, env: type[ToolBoxes]) -> None:
        self._env = env
        self.id = env.suite.env_id
        self.name = env.__name__.lower()

    def make(self, split: Split, **_: Any) -> AgentEnv:
        return self._env()

    def suite(self, **_: Any) -> TaskSuite:
        return self._env.suite


SPECS = (Spec(ToolBoxes), Spec(TextBoxes))
