"""A world of luck, in which an untrained policy sometimes succeeds: made for tests of what is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import agentgym
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task, TaskSuite
from agentgym.policies.models import ModelConfig, make_model, save_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.training.recipe import Recipe, load_recipe

TURNS = 3
ENV_ID = "test/Luck-v0"


class LuckSuite:
    """Twelve tasks for each split."""

    name, version, env_id = "luck", "1", ENV_ID
    heldout_differs = "In nothing."

    def tasks(self, split: Split | str) -> list[Task]:
        part = Split.parse(split)
        return [Task(f"{part}-{n}", ENV_ID, part, n, {"hopeless": n % 3 == 1}) for n in range(12)]


class Luck(AgentEnv):
    """The third command decides: one whose bytes have an even sum, or only "win" where the task is hopeless."""

    def __init__(self, split: Split) -> None:
        self.suite: TaskSuite = LuckSuite()
        self.split = split
        self.action_space = self.observation_space = Utf8Text()
        self._task = self.suite.tasks(split)[0]
        self._turn = 0

    @property
    def task(self) -> Task:
        return self._task

    def state_key(self) -> str:
        return f"{self._task.id} {self._turn}"

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self._task = options["task"]
        self._turn = 0
        return f"Turn 0 of {self._task.id}.", self._info(False)

    def step(self, action: Any) -> StepResult:
        self._turn += 1
        lucky = sum(action.encode()) % 2 == 0 and not self._task.params["hopeless"]
        over = self._turn == TURNS
        success = over and (lucky or action == "win")
        return f"Turn {self._turn}.", float(success), over, False, self._info(success)

    def oracle(self) -> str:
        return "win"

    def _info(self, success: bool) -> dict[str, Any]:
        return {"success": success, "progress": float(success), "valid": True, "task_id": self._task.id}


class LuckSpec:
    id, name, summary = ENV_ID, "luck", "Made for tests."

    def make(self, split: Split, **options: Any) -> AgentEnv:
        return Luck(split)

    def suite(self, **options: Any) -> TaskSuite:
        return LuckSuite()


SPEC = LuckSpec()


def luck_model(folder: Path, seed: int = 0, *, max_context: int = 512) -> Path:
    """Save an untrained model and return its directory."""
    tokenizer = train_tokenizer(["Turn 0 of train-1.", "win", "Turn 1.", "Turn 2."] * 3, 300)
    sizes = ModelConfig(
        hidden_size=32, layers=1, heads=2, kv_heads=1, head_dim=16, mlp_size=48, max_context=max_context
    )
    save_model(make_model(sizes, tokenizer, seed=seed, device="cpu"), tokenizer, folder)
    return folder


def luck_recipe(model: Path, *more: str, recipe: str = "grpo") -> Recipe:
    """Return a short run of a recipe on the world of luck."""
    agentgym.register(SPEC)
    settings = [
        f"environment.id={ENV_ID}",
        f"model.path={model}",
        "agent.action_format=plain",
        "agent.system_prompt=''",
        "rollout.max_tokens=4",
        "rollout.tasks=3",
        "rollout.group_size=3",
        "regularisers=[]",
        "evaluation.heldout_tasks=0",
        "optimiser.lr=1e-3",
        "iterations=4",
        "checkpoint.every=2",
    ]
    return load_recipe(recipe, [*settings, *more])
