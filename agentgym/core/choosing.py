"""Which task an episode plays: what `reset` was asked for, or one of the split; what environments share of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentgym.core.env import AgentEnv
from agentgym.core.errors import TaskError, UsageError, did_you_mean
from agentgym.core.task import Task


def chosen_task(
    env: AgentEnv,
    options: Mapping[str, Any] | None,
    tasks: Sequence[Task],
    find: Callable[[str], Task],
) -> Task:
    """Return the task in `options["task"]` (a `Task`, or an id for `find`), else one of `tasks` by `env.np_random`.

    Call it after `super().reset(seed=seed)`. Raises `UsageError` for other options, `TaskError` for a task of another
    environment or split, and what `find` raises.
    """
    unknown = sorted(set(options or {}) - {"task"})
    if unknown:
        raise UsageError(f"Unknown reset options {unknown}.{did_you_mean(unknown[0], ['task'])} Known: task.")
    chosen: object = (options or {}).get("task")
    if chosen is None:
        return tasks[int(env.np_random.integers(len(tasks)))]
    if not isinstance(chosen, Task | str):
        raise TaskError(f"options['task'] must be a Task or a task id, got {type(chosen).__name__}.")
    return fitting(env, find(chosen) if isinstance(chosen, str) else chosen)


def fitting(env: AgentEnv, task: Task) -> Task:
    """Return `task`; raises `TaskError` where it is of another environment or split than `env` plays."""
    if task.env_id != env.suite.env_id:
        raise TaskError(
            f"Task {task.id!r} is for {task.env_id!r}, this environment is {env.suite.env_id!r}; "
            f"make the other with `agentgym.make({task.env_id!r})`."
        )
    if task.split is not env.split:
        raise TaskError(
            f"Task {task.id!r} belongs to split {task.split.value!r}, this environment plays "
            f"{env.split.value!r}; make one with `split={task.split.value!r}`."
        )
    return task
