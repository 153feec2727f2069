"""A world of locks, whose code a remembered tool tells, and a model that has learned to ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import agentgym
from agentgym.agents.toolcalling import ToolCallingAgent
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.memory import ItemStatus
from agentgym.core.policy import Completion, GenerationRequest
from agentgym.core.spaces import ToolCallSpace, Utf8Text
from agentgym.core.task import Split, Task, TaskSuite
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Episode
from agentgym.memory.recall import Recall
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.document import tool_item
from agentgym.memory.tools.toolbox import Toolbox
from agentgym.policies.models import ModelConfig, make_model, save_model
from agentgym.policies.tokenizer import train_tokenizer, write_tool
from agentgym.rollout.collect import collect, plan_groups
from agentgym.training.demonstrations import RecitingPolicy
from agentgym.training.recipe import Recipe, WarmStartSection, load_recipe
from agentgym.training.warm_start import warm_start
from tests.agents.playing import call
from tests.evolution.gate.tools import PATIENT

ENV_ID = "test/Locks-v0"
CODE = 7
ANSWER = f'{{"is": {CODE}}}'
TOLD = "There is a lock."
OPEN = ToolSpec(
    "open",
    "Tries a code.",
    {"type": "object", "properties": {"code": {"type": "integer"}}, "required": ["code"]},
)
TELLER = tool_item(
    ToolSpec("code", "Tells the code of a lock.", {"type": "object", "properties": {}}),
    f"def run(args):\n    return {{'is': {CODE}}}\n",
    env_id=ENV_ID,
)


class LockSuite:
    """Six locks of each split, which differ in their number."""

    name, version, env_id = "locks", "1", ENV_ID
    heldout_differs = "In the numbers of the locks."

    def tasks(self, split: Split | str) -> list[Task]:
        part = Split.parse(split)
        return [Task(f"{part}-{n}", ENV_ID, part, n, {"lock": f"{part} {n}"}) for n in range(6)]


class Locks(AgentEnv):
    """Two codes may be tried; the right one is the same for all."""

    tools = (OPEN,)
    observation_space = Utf8Text()
    action_space = ToolCallSpace(tools)

    def __init__(self, split: Split) -> None:
        self.suite: TaskSuite = LockSuite()
        self.split = split
        self._task = self.suite.tasks(split)[0]
        self._tries = 0

    @property
    def task(self) -> Task:
        return self._task

    def state_key(self) -> str:
        return f"{self._task.id} {self._tries}"

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self._task = options["task"]
        self._tries = 0
        return TOLD, self._info(valid=True, success=False)

    def step(self, action: Any) -> StepResult:
        self._tries += 1
        valid = self.action_space.contains(action)
        success = valid and action.arguments["code"] == CODE
        over = success or self._tries == 2
        return "Click." if success else "Stuck.", float(success), over, False, self._info(valid, success)

    def _info(self, valid: bool, success: bool) -> dict[str, Any]:
        return {"success": success, "progress": float(success), "valid": valid, "task_id": self._task.id}


class LockSpec:
    id, name, summary = ENV_ID, "locks", "Made for tests."

    def make(self, split: Split, **options: Any) -> AgentEnv:
        return Locks(split)

    def suite(self, **options: Any) -> TaskSuite:
        return LockSuite()


SPEC = LockSpec()


class _Teacher:
    """In two of three episodes asks for the code first, where it can, and tries it; guesses in the others."""

    version = -1

    def __init__(self, reciting: RecitingPolicy) -> None:
        self._reciting = reciting

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        told = [replace(request, dictated=self._answer(request)) for request in requests]
        return await self._reciting.generate(told)

    def end_session(self, session_id: str) -> None:
        self._reciting.end_session(session_id)

    def _answer(self, request: GenerationRequest) -> str:
        if any(str(CODE) in message.content for message in request.messages):
            return call("open", code=CODE)
        can_ask = TELLER.name in {tool.name for tool in request.tools} and len(request.messages) == 1
        asks = can_ask and int(request.session_id.rpartition("/")[2]) % 3
        return call(TELLER.name) if asks else call("open", code=1)


def given_library(path: Path) -> Path:
    """A library with the tool in use."""
    with MemoryStore(path) as store:
        store.set_status(store.put(TELLER), ItemStatus.ACTIVE, reason="given")
    return path


def taught_model(folder: Path, library: Path) -> Path:
    """Save a model that has been taught to play with the library, and return its directory."""
    texts = [TOLD, "Click.", "Stuck.", f'{{"is": {CODE}}}', *map(write_tool, (OPEN,))]
    tokenizer = train_tokenizer([*texts, call("open", code=CODE), call(TELLER.name)] * 3, 400)
    sizes = ModelConfig(
        hidden_size=48, layers=2, heads=2, kv_heads=1, head_dim=24, mlp_size=96, max_context=1024
    )
    model = make_model(sizes, tokenizer, seed=0, device="cpu")
    with MemoryStore(library, create=False) as store:
        state = store.take_snapshot([entry.version for entry in store.entries()])
        memory = Toolbox(Recall(store, state), store, PATIENT)
        lessons = [*_lessons(RecitingPolicy(tokenizer), memory), *_lessons(RecitingPolicy(tokenizer), None)]
    section = WarmStartSection(epochs=110, lr=5e-3, tokens_per_step=2048)
    warm_start(model, lessons, section, seed=0)
    save_model(model, tokenizer, folder)
    return folder


def _lessons(policy: RecitingPolicy, memory: Toolbox | None) -> list[Episode]:
    agent = ToolCallingAgent(_Teacher(policy), memory=memory, system_prompt="")
    plans = plan_groups(LockSuite().tasks("train")[:1], 3, label="lesson", seed=0)
    return asyncio.run(collect(plans, agent, lambda: Locks(Split.TRAIN), concurrency=3, max_turns=2))


def lock_recipe(model: Path, library: Path, *more: str) -> Recipe:
    """A short run of GRPO on the locks, with the library."""
    agentgym.register(SPEC)
    settings = [
        f"environment.id={ENV_ID}",
        f"model.path={model}",
        f"memory.library={library}",
        "environment.max_turns=2",
        "agent.kind=toolcalling",
        "agent.action_format=plain",
        "agent.system_prompt=''",
        "rollout.max_tokens=40",
        "rollout.tasks=2",
        "rollout.group_size=4",
        "regularisers=[]",
        "evaluation.heldout_tasks=0",
        "optimiser.lr=1e-4",
        "iterations=3",
        "checkpoint.every=1",
    ]
    return load_recipe("grpo", [*settings, *more])
