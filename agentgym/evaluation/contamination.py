"""No task is evaluated as held-out that a policy was trained on. Tasks are told by content (`Task.key`), not by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agentgym.core.errors import UsageError
from agentgym.core.task import Split, Task
from agentgym.store.store import Store

EVALUATED = "eval"
"""The phase of episodes that nothing is learned from; what is played in any other phase may be learned from."""

_NAMED = 3
"""Most tasks named in a message."""


class ContaminationError(UsageError):
    """A policy was trained on tasks that it is to be evaluated on as held-out."""


def trained_keys(store: Store, run_id: str) -> frozenset[str]:
    """Return the content of every task that a run has played to learn from it; raises `UnknownNameError`."""
    phases = {row.phase for row in store.episode_rows(run_id)} - {EVALUATED}
    return frozenset(task.key for phase in phases for task in store.tasks(run_id, phase))


def must_be_unseen(tasks: Sequence[Task], trained: Collection[str], policy: str) -> None:
    """Raise `ContaminationError` where `policy` was trained on one of the held-out tasks."""
    seen = [task.id for task in tasks if task.split is Split.HELDOUT and task.key in trained]
    if seen:
        names = ", ".join(seen[:_NAMED]) + (", ..." if len(seen) > _NAMED else "")
        raise ContaminationError(
            f"{policy} was trained on {len(seen)} of the {len(tasks)} held-out tasks to be evaluated ({names}), so the "
            "figure would not be one of unseen tasks. Evaluate it on the train or select split, or a run that was "
            "trained without these tasks."
        )
