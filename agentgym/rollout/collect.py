"""Many episodes at once on one event loop.

Each of `concurrency` workers owns one environment and plays one planned episode after another, so a
policy that batches sees every waiting turn together. Environments are stepped where they say, on the loop, in a
thread or in a process, so that a slow one holds up none of the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple, TypeAlias

from agentgym.core.agent import Agent
from agentgym.core.env import AgentEnv, Stepping
from agentgym.core.errors import UsageError
from agentgym.core.policy import Dictation
from agentgym.core.task import Task, content_hash
from agentgym.core.trace import Episode, Outcome
from agentgym.rollout.episode import run_episode
from agentgym.rollout.hosts import EnvHost, InlineHost, ThreadHost
from agentgym.rollout.monitor import Monitor
from agentgym.rollout.processes import Nursery, ProcessHost
from agentgym.rollout.rules import Rules
from agentgym.rollout.start import Start, Stop
from agentgym.rollout.watchdog import Watchdog

PAUSE_S = 0.25
"""Before the first retry of an episode; doubled before each further one, so that a server can come back."""
TICK_S = 1.0
"""Between two reports of how it stands."""


Trails: TypeAlias = dict[str, list[Stop]]
"""The states that episodes went through, by episode; one for each decision."""


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
    start: Start | None = None
    """What came of those answers in another episode, and where to go on from; None: play them again."""


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
    max_tokens: int | None = None,
    on_episode: Callable[[Episode], None] | None = None,
    trails: Trails | None = None,
    rules: Rules | None = None,
    monitor: Monitor | None = None,
    enough: Callable[[], bool] | None = None,
) -> list[Episode]:
    """Play every plan and return the episodes in the order of the plans; `max_tokens` is as in `run_episode`.

    `on_episode` is called as each one ends, in the order of ending. An episode that ends by a fault of the
    infrastructure is played again where the rules allow; what is returned, and told to `on_episode`, is the last
    attempt alone, and `monitor.failures` has the others. After a fault of the environment its worker goes on
    with a new one. In `trails` the states on the way of each episode are kept, for it to be forked. Once `enough` says
    so no further episode is begun; those that were not are missing from what is returned.

    Cancelling the call, or an error that belongs to no episode (a `UsageError`, a failure of `on_episode`),
    cancels the episodes in flight and closes the environments.
    """
    if concurrency < 1:
        raise UsageError(f"collect needs a concurrency of at least 1, got {concurrency}.")
    if not plans:
        return []
    rules, monitor = rules or Rules(), monitor or Monitor()
    monitor.planned += len(plans)
    hosts, nursery = _make_hosts(make_env, rules, min(concurrency, len(plans)))
    monitor.hosts += hosts
    crew = _Crew(plans, agent, max_turns, max_tokens, on_episode, trails, rules, monitor, enough)
    ticking = asyncio.create_task(_tick(monitor))
    try:
        with Watchdog(monitor, rules.stall_s):
            async with asyncio.TaskGroup() as workers:
                for host in hosts:
                    workers.create_task(crew.work(host))
    except* Exception as group:  # noqa: BLE001 - one error is told, not a group of them
        raise first_error(group) from None
    finally:
        ticking.cancel()
        if nursery is not None:
            nursery.close()
    return [crew.finished[index] for index in sorted(crew.finished)]


class _Attempt(NamedTuple):
    place: int
    """In the plans."""
    number: int = 0
    due: float = 0.0
    """Not to begin before this time, by `perf_counter`."""


@dataclass
class _Crew:
    """The workers' common list of what is to be played and what has been."""

    plans: Sequence[EpisodePlan]
    agent: Agent
    max_turns: int
    max_tokens: int | None
    on_episode: Callable[[Episode], None] | None
    trails: Trails | None
    rules: Rules
    monitor: Monitor
    enough: Callable[[], bool] | None
    finished: dict[int, Episode] = field(default_factory=dict[int, Episode])

    def __post_init__(self) -> None:
        self._pending = deque(_Attempt(index) for index in range(len(self.plans)))
        self._retries_left = max(1, int(self.rules.retry_share * len(self.plans)))

    async def work(self, host: EnvHost) -> None:
        """Play one episode after another until none is left. Retries wait behind what was not played yet."""
        try:
            while self._pending and not (self.enough and self.enough()):
                attempt = self._pending.popleft()
                if attempt.due:
                    await asyncio.sleep(attempt.due - perf_counter())
                episode = await self._play(host, self.plans[attempt.place])
                if episode.outcome in (Outcome.ENV_ERROR, Outcome.SANDBOX_ERROR):
                    await host.discard()
                if not episode.outcome.scored and self._again(attempt, episode):
                    continue
                self._keep(attempt.place, episode)
        finally:
            await self._close(host)

    async def _play(self, host: EnvHost, plan: EpisodePlan) -> Episode:
        return await run_episode(
            host,
            self.agent,
            plan.task,
            episode_id=plan.episode_id,
            group_id=plan.group_id,
            seed=plan.seed,
            max_turns=self.max_turns,
            max_tokens=self.max_tokens,
            prefix=plan.prefix,
            agent_seed=plan.agent_seed,
            start=plan.start,
            trail=None if self.trails is None else self.trails.setdefault(plan.episode_id, []),
            monitor=self.monitor,
        )

    def _again(self, attempt: _Attempt, episode: Episode) -> bool:
        """Plan another attempt at an episode that failed, if the rules have one left."""
        if attempt.number >= self.rules.retries or self._retries_left == 0:
            return False
        self._retries_left -= 1
        self.monitor.failed(episode, attempt.number)
        due = perf_counter() + PAUSE_S * 2**attempt.number
        self._pending.append(_Attempt(attempt.place, attempt.number + 1, due))
        return True

    def _keep(self, index: int, episode: Episode) -> None:
        self.finished[index] = episode
        if self.on_episode is not None:
            place = self.monitor.begin(episode.id)
            self.monitor.enter(place, "store", "on_episode", blocking=True)
            self.on_episode(episode)
            self.monitor.leave(place)
            self.monitor.end(place)
        self.monitor.finished(episode.id)

    async def _close(self, host: EnvHost) -> None:
        try:
            await host.close()
        except Exception as error:  # noqa: BLE001 - the episodes played in it are whole
            self.monitor.tell(f"An environment could not be closed: {error!r}.")


def _make_hosts(
    make_env: Callable[[], AgentEnv], rules: Rules, count: int
) -> tuple[list[EnvHost], Nursery | None]:
    """Return a host for each worker, and the nursery that those in processes share."""
    stepping, limits = rules.stepping, rules.limits
    env: AgentEnv | None = None
    if stepping is None:
        env = make_env()
        stepping = Stepping(env.stepping)
        if stepping is not Stepping.INLINE:
            with suppress(Exception):  # it was made only to be asked
                env.close()
    match stepping:
        case Stepping.INLINE:
            return [InlineHost(make_env, limits, None if n else env) for n in range(count)], None
        case Stepping.THREAD:
            return [ThreadHost(make_env, limits) for _ in range(count)], None
        case Stepping.PROCESS:
            nursery = Nursery(make_env, limits.reset_s)
            return [ProcessHost(nursery, limits) for _ in range(count)], nursery


async def _tick(monitor: Monitor) -> None:
    while monitor.on_figures is not None:
        monitor.on_figures(monitor.figures)
        await asyncio.sleep(TICK_S)


def first_error(group: BaseExceptionGroup[Exception]) -> Exception:
    """Return the error that ended it all: the first, one of the caller's making before others."""
    errors: list[Exception] = []
    for error in group.exceptions:
        errors.append(first_error(error) if isinstance(error, BaseExceptionGroup) else error)
    return next((error for error in errors if isinstance(error, UsageError)), errors[0])
