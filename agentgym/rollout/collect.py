"""Many episodes at once on one event loop.

Each of `concurrency` workers owns one environment and plays one planned episode after another, so a
policy that batches sees every waiting turn together. Environments step on the event loop: right for worlds
that answer in microseconds; one that blocks holds up all the others while it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agentgym.core.agent import Agent
from agentgym.core.env import AgentEnv
from agentgym.core.errors import AgentGymError, UsageError
from agentgym.core.policy import Dictation
from agentgym.core.task import Task, content_hash
from agentgym.core.trace import Episode, Outcome
from agentgym.rollout.episode import run_episode


@dataclass(frozen=True, slots=True)
class EpisodePlan:
    """An episode to be played."""

    task: Task
    episode_id: str
    group_id: str
    seed: int
    """Of the environment, and of the agent unless it has one of its own."""
    prefix: tuple[Dictation, ...] = ()
    """Answers replayed as the agent's own before it acts."""
    agent_seed: int | None = None


def plan_groups(
    tasks: Sequence[Task], group_size: int, *, label: str, seed: int, first: int = 0
) -> list[EpisodePlan]:
    """Plan `group_size` episodes of each task; the seeds depend on `seed`, `label` and the position only.

    `label` makes the ids unique within a run, such as `train-000012`; `first` is the position of the first
    task, where a label's tasks are planned in parts.
    """
    if group_size < 1:
        raise UsageError(f"A group needs at least one rollout, got group_size={group_size}.")
    return [
        EpisodePlan(
            task=task,
            episode_id=f"{label}/{index:04d}/{member:02d}",
            group_id=f"{label}/{index:04d}",
            seed=derive_seed(seed, label, index, member),
        )
        for index, task in enumerate(tasks, first)
        for member in range(group_size)
    ]


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that depends on every part and on nothing else.

    >>> derive_seed(0, "train", 1) == derive_seed(0, "train", 1) != derive_seed(0, "train", 2)
    True
    """
    return int(content_hash(list(parts)), 16) >> 1


async def collect(
    plans: Sequence[EpisodePlan],
    agent: Agent,
    make_env: Callable[[], AgentEnv],
    *,
    concurrency: int,
    max_turns: int,
    on_episode: Callable[[Episode], None] | None = None,
) -> list[Episode]:
    """Play every plan and return the episodes in the order of the plans.

    `on_episode` is called as each one ends, in the order of ending. Cancelling the call, or an error that
    belongs to no episode (a `UsageError`, a failure of `on_episode`), cancels the episodes in flight and
    closes the environments. After a fault of the environment its worker goes on with a new one.
    """
    if concurrency < 1:
        raise UsageError(f"collect needs a concurrency of at least 1, got {concurrency}.")
    finished: dict[int, Episode] = {}
    pending = iter(enumerate(plans))

    async def work(pending: Iterator[tuple[int, EpisodePlan]]) -> None:
        env = make_env()
        try:
            for index, plan in pending:
                finished[index] = episode = await run_episode(
                    env,
                    agent,
                    plan.task,
                    episode_id=plan.episode_id,
                    group_id=plan.group_id,
                    seed=plan.seed,
                    max_turns=max_turns,
                    prefix=plan.prefix,
                    agent_seed=plan.agent_seed,
                )
                if on_episode is not None:
                    on_episode(episode)
                if episode.outcome in (Outcome.ENV_ERROR, Outcome.SANDBOX_ERROR):
                    env.close()  # it may be broken for good
                    env = make_env()
        finally:
            env.close()

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(concurrency, len(plans))):
                workers.create_task(work(pending))
    except* AgentGymError as group:
        raise group.exceptions[0] from None
    return [finished[index] for index in range(len(plans))]
