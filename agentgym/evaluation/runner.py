"""Play a split's tasks with an agent: the same tasks and seeds for every agent, given the same arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, zip_longest
from typing import Any

from pydantic_core import to_jsonable_python

from agentgym import registry
from agentgym.core.agent import Agent
from agentgym.core.env import EnvSpec
from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.evaluation.report import EpisodeResult, Evaluation
from agentgym.rollout.collect import EpisodePlan, collect, derive_seed
from agentgym.rollout.monitor import Monitor
from agentgym.rollout.rules import Rules

OnProgress = Callable[[Episode, int, int], None]
"""Called with each finished episode, how many have finished, and how many there will be."""


async def evaluate(
    env: str | EnvSpec,
    agent: Agent,
    split: Split | str = Split.HELDOUT,
    *,
    tasks: int | None = None,
    samples: int = 1,
    seed: int = 0,
    max_turns: int = 50,
    group: str | None = None,
    options: Mapping[str, Any] | None = None,
    concurrency: int = 64,
    rules: Rules | None = None,
    monitor: Monitor | None = None,
    label: str = "eval",
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Play `samples` episodes of each chosen task and return what came of them.

    `tasks` is the most tasks of each group of the split (`seen`, `unseen`), None for all; `group` keeps
    to one group. `options` go to the environment. The episodes' ids begin with `label`. An episode's
    seed depends on `seed`, the content of its task and the number of the sample only, so evaluations of
    two agents with the same arguments pair (`agentgym.evaluation.compare`).

    `rules` say how environments are stepped, how long each wait may take and what is played again; `monitor`
    sees how it goes.

    Raises `UnknownNameError` for an unknown environment, split or group, `UsageError` for arguments
    that leave nothing to play.
    """
    if samples < 1 or max_turns < 1:
        raise UsageError(f"samples and max_turns are at least 1, got {samples} and {max_turns}.")
    parsed = Split.parse(split)

    make_env = registry.factory(env, parsed, **(options or {}))
    first = make_env()
    suite = first.suite
    first.close()
    chosen = choose_tasks(suite.tasks(parsed), tasks, group)
    plans = plan_evaluation(chosen, samples, seed=seed, label=label)
    episodes = await collect(
        plans,
        agent,
        make_env,
        concurrency=concurrency,
        max_turns=max_turns,
        on_episode=_counter(on_progress, len(plans)) if on_progress else None,
        rules=rules,
        monitor=monitor,
    )
    return Evaluation(
        env_id=suite.env_id,
        suite=suite.name,
        suite_version=suite.version,
        split=parsed,
        agent=agent.name,
        seed=seed,
        samples=samples,
        max_turns=max_turns,
        options=to_jsonable_python(dict(options or {}), fallback=repr),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        results=tuple(
            EpisodeResult.from_episode(episode, index % samples) for index, episode in enumerate(episodes)
        ),
    )


def choose_tasks(tasks: Sequence[Task], per_group: int | None, group: str | None = None) -> list[Task]:
    """Return at most `per_group` tasks of each group (all for None), or of `group` alone.

    The kinds and difficulties within a group take turns, so that a few tasks are still a fair sample.
    """
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.group, []).append(task)
    if group is not None and group not in groups:
        raise UnknownNameError("task group", group, groups)
    if (per_group is not None and per_group < 1) or not groups:
        raise UsageError(f"There is no task to evaluate: {len(tasks)} in the split, tasks={per_group}.")
    names = list(groups) if group is None else [group]
    return [task for name in names for task in _take_turns(groups[name], per_group)]


def plan_evaluation(tasks: Sequence[Task], samples: int, *, seed: int, label: str) -> list[EpisodePlan]:
    """Plan `samples` episodes of each task."""
    return [
        EpisodePlan(
            task=task,
            episode_id=f"{label}/{index:04d}/{sample:02d}",
            group_id=f"{label}/{index:04d}",
            seed=derive_seed(seed, "evaluation", task.key, sample),
        )
        for index, task in enumerate(tasks)
        for sample in range(samples)
    ]


def _take_turns(tasks: Sequence[Task], limit: int | None) -> list[Task]:
    if limit is None or limit >= len(tasks):
        return list(tasks)
    kinds: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        kinds.setdefault((task.task_type, task.difficulty), []).append(task)
    rounds = chain.from_iterable(zip_longest(*kinds.values()))
    return [task for task in rounds if task is not None][:limit]


def _counter(on_progress: OnProgress, total: int) -> Callable[[Episode], None]:
    finished = 0

    def count(episode: Episode) -> None:
        nonlocal finished
        finished += 1
        on_progress(episode, finished, total)

    return count
