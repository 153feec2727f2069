"""Small evolutions for the tests: the scripted agent and evolver in a world."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agentgym import registry
from agentgym.agents.follower.agent import FollowerAgent
from agentgym.core.trace import Episode
from agentgym.evolution.distilling.scripted import ScriptedEvolver
from agentgym.evolution.figures import BatchFigures
from agentgym.evolution.growing import grow
from agentgym.evolution.run import EvolutionRun
from agentgym.evolution.settings import EvolveSettings


class Seen:
    """A watcher that keeps what it is told, and calls `at` with every event."""

    def __init__(self, at: Callable[[str], None] = lambda _: None) -> None:
        self._at = at
        self.events: list[str] = []

    def phase(self, batch: int, name: str) -> None:
        self._note(f"{batch} {name}")

    def episode(self, batch: int, episode: Episode) -> None:
        self._note(f"{batch} {episode.id}")

    def batch(self, figures: BatchFigures) -> None:
        self._note(f"{figures['batch']} done")

    def _note(self, event: str) -> None:
        self.events.append(event)
        self._at(event)


def new_run(folder: Path, world: str, settings: Mapping[str, Any], name: str = "run") -> EvolutionRun:
    asked: dict[str, Any] = {
        "options": {"difficulty": "easy"},
        "min_exposures": 40,
        "gate_tasks": 36,
        **settings,
    }
    resolved = EvolveSettings(env_id=registry.find_spec(world).id, **asked)
    return EvolutionRun.create(resolved, folder, name, versions={})


def carry_on(run: EvolutionRun, watcher: Seen | None = None) -> list[BatchFigures]:
    evolver = partial(ScriptedEvolver, tools=run.settings().tools)
    return asyncio.run(grow(run, FollowerAgent, evolver, watcher or Seen()))


SMALL: dict[str, Any] = {
    "batches": 2,
    "tasks": 10,
    "rollouts": 3,
    "max_turns": 16,
    "gate_tasks": 6,
    "min_exposures": 10,
}
"""Of a run that writes something in both of its batches, as quickly as may be; in backoffice."""
