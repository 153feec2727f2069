"""What a run has learned from, and what the runs before it have: so that it is not evaluated on that."""

from __future__ import annotations

from pathlib import Path

from agentgym.core.errors import ConfigError
from agentgym.evaluation.contamination import trained_keys
from agentgym.memory.store.lineage import task_keys
from agentgym.memory.store.store import MemoryStore
from agentgym.store.store import Store
from agentgym.training.assembly import train_tasks
from agentgym.training.checkpoint import checkpoints, latest_checkpoint
from agentgym.training.data import Recorded
from agentgym.training.recording import find_recording
from agentgym.training.remembering.library import saved_state
from agentgym.training.run import Run


def learned_from(run: Run) -> frozenset[str]:
    """Return the content (`Task.key`) of every task that the policy of a run was trained on.

    These are what the run played, or learned from a recording, what is behind its memory, the train tasks that its warm
    start drew from, and what the run was trained on whose model it began with.
    """
    keys: set[str] = set()
    if run.store.is_file():
        with Store(run.store, create=False) as store:
            keys.update(*(trained_keys(store, row.id) for row in store.runs()))
    if run.library.is_file():
        with MemoryStore(run.library, create=False) as library:
            keys.update(task_keys(library))
    recipe = run.recipe
    if recipe.warm_start is not None:
        keys.update(task.key for task in train_tasks(recipe))
    if isinstance(recipe.data, Recorded):
        keys |= _recorded(recipe.data)
    before = _run_of(recipe.model.path)
    return frozenset(keys | learned_from(before)) if before is not None else frozenset(keys)


def trained_on(model: str) -> frozenset[str]:
    """Return the episodes, as `RUN/EPISODE`, that the policy in a model's directory has learned from by reinforcement.

    Nothing for a model that no run has made.
    """
    run = _run_of(model)
    if run is None:
        return frozenset()
    if run.recipe.memory is not None and checkpoints(run.checkpoints):
        return frozenset(saved_state(latest_checkpoint(run.checkpoints).path)["trained"])
    played = frozenset[str]()
    if run.store.is_file():
        with Store(run.store, create=False) as store:
            rows = [row for each in store.runs() for row in store.episode_rows(each.id, phase="train")]
            played = frozenset(f"{run.name}/{row.id}" for row in rows)
    return played | trained_on(run.recipe.model.path)


def _recorded(data: Recorded) -> frozenset[str]:
    """Return what a recording has of tasks; nothing where it is gone, and cannot be told any more."""
    try:
        recording = find_recording(data)
    except ConfigError:
        return frozenset()
    with Store(recording.store, create=False) as store:
        return trained_keys(store, recording.run)


def _run_of(model: str) -> Run | None:
    """Return the run that a model's directory belongs to."""
    if not model:
        return None
    path = Path(model)
    owners = [folder for folder in (path, *path.parents[:2]) if (folder / "recipe.toml").is_file()]
    return Run(owners[0]) if owners else None
