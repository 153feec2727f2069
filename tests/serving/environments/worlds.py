"""A world of tools and pictures, and one that goes wrong, as environments to serve."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict

from agentgym.core.env import AgentEnv, Stepping, StepResult
from agentgym.core.errors import StepError, TaskError, UsageError
from agentgym.core.spaces import ToolCallSpace, Utf8Text
from agentgym.core.task import Split, Task, content_hash
from agentgym.core.tool import ToolCall, ToolSpec
from tests.rollout.worlds import Counting

PAINT_ID = "test/Painting-v0"
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
PAINT = ToolSpec(
    "paint",
    "Paint a field.",
    {
        "type": "object",
        "properties": {
            "colour": {"type": "string", "enum": sorted(COLOURS)},
            "place": {"type": "integer", "enum": [0, 1, 2, 3]},
        },
        "required": ["colour", "place"],
        "additionalProperties": False,
    },
)
LONGEST = 20


class PaintingSuite:
    """Four fields to be painted; the first one's colour tells the splits apart."""

    name, version, env_id = "painting", "1", PAINT_ID
    heldout_differs = "The first field is blue there alone."

    def tasks(self, split: Split | str) -> list[Task]:
        first = dict(zip(Split, COLOURS, strict=True))[Split.parse(split)]
        wanted = [[first, "red", "green", last] for last in COLOURS]
        return [
            Task(
                f"{Split.parse(split).value}-{last}", PAINT_ID, Split.parse(split), params={"wanted": colours}
            )
            for colours, last in zip(wanted, COLOURS, strict=True)
        ]


class Painting(AgentEnv):
    """Observations have a picture, actions are tool calls; can be stepped and rendered in every way."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(self, split: Split, *, stepping: str = "inline", render_mode: str | None = None) -> None:
        self.suite = PaintingSuite()
        self.split, self.stepping, self.render_mode = split, Stepping(stepping), render_mode
        self.tools = (PAINT,)
        self._calls = self.action_space = ToolCallSpace(self.tools)
        self.observation_space = Dict({"text": Utf8Text(), "image": Box(0, 255, (2, 2, 3), np.uint8)})
        self._task: Task | None = None
        self._fields: list[str] = []
        self._steps = 0

    @property
    def task(self) -> Task:
        if self._task is None:
            raise StepError("No episode has begun; call reset() first.")
        return self._task

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        tasks = self.suite.tasks(self.split)
        chosen = (options or {}).get("task")
        if isinstance(chosen, str):
            chosen = next((task for task in tasks if task.id == chosen), chosen)
        if chosen is None:
            chosen = tasks[int(self.np_random.integers(len(tasks)))]
        if not isinstance(chosen, Task) or chosen.env_id != PAINT_ID or chosen.split is not self.split:
            raise TaskError(f"{chosen!r} is no task of this split.")
        self._task, self._fields, self._steps = chosen, ["", "", "", ""], 0
        return self._observation("Paint."), self._info(valid=True)

    def step(self, action: Any) -> StepResult:
        if self._over:
            raise StepError("No episode is under way; call reset() first.")
        if not isinstance(action, ToolCall):
            raise UsageError("Call a tool.")
        self._steps += 1
        problem = self._calls.problem(action)
        if problem is None:
            self._fields[action.arguments["place"]] = action.arguments["colour"]
        info = self._info(valid=problem is None)
        truncated = not info["success"] and self._steps >= LONGEST
        return (
            self._observation(problem or "Painted."),
            float(info["success"]),
            info["success"],
            truncated,
            info,
        )

    def render(self) -> Any:
        return self._picture() if self.render_mode == "rgb_array" else None

    def state_key(self) -> str:
        return content_hash([self.task.key, self._fields])

    def snapshot(self) -> bytes:
        return json.dumps([self.task.to_json(), self._fields, self._steps]).encode()

    def restore(self, snapshot: bytes) -> None:
        task, self._fields, self._steps = json.loads(snapshot)
        self._task = Task.from_json(task)

    def oracle(self) -> ToolCall | None:
        for place, (field, wanted) in enumerate(zip(self._fields, self._wanted, strict=True)):
            if field != wanted:
                return ToolCall("paint", {"colour": wanted, "place": place}, "an-id")
        return None

    @property
    def _wanted(self) -> list[str]:
        return self.task.params["wanted"]

    @property
    def _over(self) -> bool:
        return self._task is None or self._fields == self._wanted or self._steps >= LONGEST

    def _observation(self, text: str) -> dict[str, Any]:
        return {"text": text, "image": self._picture()}

    def _picture(self) -> Any:
        pixels = [COLOURS.get(field, (9, 9, 9)) for field in self._fields]
        return np.array(pixels, np.uint8).reshape(2, 2, 3)

    def _info(self, *, valid: bool) -> dict[str, Any]:
        right = sum(field == wanted for field, wanted in zip(self._fields, self._wanted, strict=True))
        admissible = [
            ToolCall("paint", {"colour": colour, "place": place}) for colour in COLOURS for place in range(4)
        ]
        return {
            "success": right == 4,
            "progress": np.float64(right / 4),
            "valid": valid,
            "task_id": self.task.id,
            "admissible_actions": admissible,
        }


class PaintingSpec:
    """How to make it."""

    id, name, summary = PAINT_ID, "painting", "Fields to be painted"

    def make(self, split: Split, **options: Any) -> Painting:
        return Painting(split, **options)

    def suite(self, **options: Any) -> PaintingSuite:
        return PaintingSuite()


class CountingSpec:
    """The world of the rollouts' tests, which goes wrong as its tasks say."""

    id, name, summary = "test/Counting-v0", "counting", "Counts to four, or fails"

    def make(self, split: Split, **options: Any) -> Counting:
        env = Counting()
        env.stepping = Stepping(options.get("stepping", "thread"))
        return env

    def suite(self, **options: Any) -> Any:
        return Counting().suite
