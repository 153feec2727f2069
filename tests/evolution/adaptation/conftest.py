"""A world with a secret word, an agent that says what it is told, and lifetimes in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from agentgym.core.agent import Decision, EpisodeStart
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.memory import ItemKind, Memory, MemoryItem, Provenance, Source
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task, TaskSuite
from agentgym.evolution.adaptation.genome import Adaptation
from agentgym.evolution.adaptation.guiding import ScriptedGuides
from agentgym.evolution.adaptation.lifetimes import Lifetimes
from agentgym.memory.recall import Recall
from agentgym.memory.store.store import MemoryStore
from agentgym.rollout.rules import Rules

ENV_ID = "test/Secret-v0"


class SecretSuite:
    """Six tasks in each split; the word of a task is that of its kind."""

    name, version, env_id = "secret", "1", ENV_ID
    heldout_differs = "In nothing."

    def tasks(self, split: Split | str) -> list[Task]:
        part = Split.parse(split)
        return [Task(f"{part}-{n}", ENV_ID, part, n, {"word": f"word-{n % 3}"}) for n in range(6)]


class Secret(AgentEnv):
    """Solved by saying the word, in one of two turns. "break" breaks it."""

    def __init__(self, split: Split) -> None:
        self.suite: TaskSuite = SecretSuite()
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
        self._task, self._turn = options["task"], 0
        return f"Door {self._task.seed % 3}. Say the word.", {"success": False, "valid": True}

    def step(self, action: Any) -> StepResult:
        if action == "break":
            raise RuntimeError("broken")
        self._turn += 1
        won = action == self._task.params["word"]
        info = {"success": won, "progress": float(won), "valid": True}
        return "Open." if won else "Shut.", float(won), won or self._turn == 2, False, info


class Sayer:
    """Says the first word in quotes that it is shown, else "nothing"; each session sees one memory."""

    name = "sayer"

    def __init__(self, memory: Memory | None, faulty: Callable[[Task], bool] = lambda _: False) -> None:
        self._memory = memory
        self._faulty = faulty

    def start(self, start: EpisodeStart) -> SayerSession:
        return SayerSession(self._memory, start, self._faulty(start.task))


class SayerSession:
    def __init__(self, memory: Memory | None, start: EpisodeStart, broken: bool) -> None:
        self._memory, self._start, self._broken = memory, start, broken

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        if self._broken:
            return Decision("break")
        shown = await self._memory.recall(self._start, observation) if self._memory else None
        door = re.search(r"Door \d", observation)
        told = re.findall(r'(Door \d) wants "([^"]+)"', shown.text) if shown else []
        words = [word for name, word in told if door is None or name == door[0]]
        return Decision(words[0] if words else "nothing")

    def close(self) -> None:
        """Nothing is held."""


def library(folder: Any) -> tuple[MemoryStore, str]:
    """Cases that mislead, and a principle for each door that tells its word."""
    store = MemoryStore(folder / "memory.db")
    source = Source("e", "t", Split.TRAIN)
    told = [
        (
            MemoryItem(
                ItemKind.PRINCIPLE, f"door-{n}", f"Door {n} say the word", f'Door {n} wants "word-{n}"'
            ),
            Provenance(sources=(source,)),
        )
        for n in range(3)
    ]
    lies = [
        (
            MemoryItem(
                ItemKind.CASE, f"case-{n}-{m}", f"Door {n}. Say the word.", f'Door {n} wants "lie-{m}"'
            ),
            Provenance(sources=(source,)),
        )
        for n in range(3)
        for m in range(4)
    ]
    return store, store.take_snapshot(store.put_all([*told, *lies]))


def lifetimes(
    store: MemoryStore | None,
    snapshot: str = "",
    *,
    faulty: Callable[[Task], bool] = lambda _: False,
    attempts: int = 2,
) -> Lifetimes:
    """Lifetimes of the sayer with a memory."""

    def remember(adaptation: Adaptation) -> Memory | None:
        if store is None or not adaptation.k:
            return None
        return Recall(store, snapshot, adaptation.recall_settings())

    return Lifetimes(
        lambda memory: Sayer(memory, faulty),
        remember,
        ScriptedGuides(),
        lambda split: lambda: Secret(split),
        attempts=attempts,
        max_turns=2,
        seed=1,
        rules=Rules(retries=0),
    )
