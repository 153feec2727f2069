"""The memory that a trained policy goes with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from agentgym.core.memory import ItemKind
from agentgym.memory.case_selector import CaseSelector
from agentgym.memory.recall import Recall
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.toolbox import Toolbox
from agentgym.training.checkpoint import latest_checkpoint
from agentgym.training.remembering.equipping import equipped, must_have_sandbox
from agentgym.training.remembering.library import SELECTOR, saved_state
from agentgym.training.run import Run


def saved_memory(run: Run, kinds: Collection[ItemKind] = tuple(ItemKind)) -> Toolbox | None:
    """Return what a run's last checkpoint shows its policy, as far as it is of these kinds; None without a memory.

    Nothing is withheld and nothing written. Raises `CheckpointError` and `UsageError` where it is not there, and
    `UsageError` where it has tools and this machine no sandbox.
    """
    section = run.recipe.memory
    if section is None:
        return None
    folder = latest_checkpoint(run.checkpoints).path
    chooser = None
    if section.retriever == "learned":
        chooser = CaseSelector()
        chooser.load(folder / SELECTOR)
    settings = replace(section.recall, kinds=tuple(kind for kind in section.kinds if kind in kinds))
    store = MemoryStore(run.library, create=False)
    recall = Recall(store, saved_state(folder)["snapshot"], settings, chooser=chooser)
    memory = equipped(recall, store, settings)
    must_have_sandbox(memory)
    return memory
