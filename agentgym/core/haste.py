"""Experts that err as people do: a demonstrator worth imitating, and worth surpassing by reinforcement."""

from __future__ import annotations

import random

from agentgym.core.errors import UnknownNameError
from agentgym.core.task import Task

EXPERTS = ("careful", "hasty")
"""The careful expert solves every task. What the hasty one does not do on some tasks, its environment says."""

HASTE = 0.6
"""On which share of the tasks the hasty expert is in a hurry."""


def known_expert(name: str) -> str:
    """Return the name of an expert; raises `UnknownNameError` for one that is none of `EXPERTS`."""
    if name not in EXPERTS:
        raise UnknownNameError("expert", name, EXPERTS)
    return name


def in_haste(expert: str, task: Task) -> bool:
    """Return whether an expert is in a hurry on a task, which depends on the task alone."""
    return expert == "hasty" and random.Random(f"haste {task.key}").random() < HASTE
