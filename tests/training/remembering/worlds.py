"""The world of luck with a memory: runs of it, in this process and in one that is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from agentgym.core.memory import ItemKind, ItemStatus, MemoryItem
from agentgym.memory.store.store import MemoryStore
from agentgym.training.recipe import Recipe
from agentgym.training.run import Run
from tests.training.luck import ENV_ID, luck_recipe

ROOT = Path(__file__).parents[3]
NOTES = {"third": "Turn 2 decides.", "even": "Say win.", "odd": "Turn 0 is for looking."}


def given_library(path: Path) -> Path:
    """A library of three principles in use."""
    with MemoryStore(path) as store:
        for name, body in NOTES.items():
            item = MemoryItem(ItemKind.PRINCIPLE, name, "turn of train", body, env_id=ENV_ID)
            store.set_status(store.put(item), ItemStatus.ACTIVE, reason="given")
    return path


def remembering(model: Path, library: Path | str, *more: str) -> Recipe:
    """A run with memory: a lottery, a learned choice, cases of its own, advantages among equals."""
    return luck_recipe(
        model,
        f"memory.library={library}",
        "memory.k=2",
        "memory.token_budget=110",
        "memory.retriever=learned",
        "memory.support=0.34",
        "memory.exposure=equal",
        "rollout.group_size=4",
        *more,
    )


def killed(run: Run, world: str, steps: int) -> int:
    """Train a run until it is killed after so many steps; return how the process ended."""
    command = [sys.executable, "-m", "tests.training.remembering.victim", str(run.path), world, str(steps)]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode
