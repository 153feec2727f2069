"""Play a split's tasks with an agent: the same tasks and seeds for every agent, given the same arguments."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python

from agentgym import registry
from agentgym.core.agent import Agent
from agentgym.core.env import AgentEnv, EnvSpec
from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.policy import NO_TOKENS, TokenCount
from agentgym.core.task import Split, Task, TaskSuite
from agentgym.core.trace import Episode
from agentgym.evaluation.contamination import EVALUATED, must_be_unseen
from agentgym.evaluation.keeping import Keeper
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.results import EpisodeResult, Timing
from agentgym.policies.spending import Prices
from agentgym.rollout.collect import EpisodePlan, collect, derive_seed
from agentgym.rollout.monitor import Monitor, added
from agentgym.rollout.rules import Limits, Rules

OnProgress = Callable[[Episode, int, int], None]
"""Called with each finished episode, how many have finished, and how many there will be."""


class Allowance(NamedTuple):
    """What an evaluation may take, besides turns; None: as much as it takes."""

    tokens: int | None = None
    """Sampled by an episode."""
    seconds: float | None = None
    """Of an episode."""
    cost: float | None = None
    """Of all episodes, at the prices."""
    prices: Prices | None = None


UNLIMITED = Allowance()


async def evaluate(
    env: str | EnvSpec,
    agent: Agent,
    split: Split | str = Split.HELDOUT,
    *,
    tasks: int | None = None,
    samples: int = 1,
    seed: int = 0,
    max_turns: int = 50,
    allowance: Allowance = UNLIMITED,
    group: str | None = None,
    options: Mapping[str, Any] | None = None,
    trained: Collection[str] = (),
    concurrency: int = 64,
    rules: Rules | None = None,
    monitor: Monitor | None = None,
    label: str = EVALUATED,
    keeper: Keeper | None = None,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Play `samples` episodes of each chosen task and return what came of them.

    `tasks` is the most tasks of each group of the split (`seen`, `unseen`), None for all; `group` keeps
    to one group. `options` go to the environment. The episodes' ids begin with `label`. An episode's
    seed depends on `seed`, the content of its task and the number of the sample only, so evaluations of
    two agents with the same arguments pair (`agentgym.evaluation.compare`).

    An episode ends unsolved after `max_turns`, or when it has had the tokens or seconds of the `allowance`. Once all
    have cost what they may, those under way end and no further one begins: the evaluation is then without the rest.
    With a `keeper` episodes are kept as they end, and those that are done already are not played again. `rules` say
    how environments are stepped, how long each wait may take and what is played again; `monitor` sees how it goes.
    `trained` are the keys of tasks that the policy has learned from.

    Raises `UnknownNameError` for an unknown environment, split or group, `UsageError` for arguments
    that leave nothing to play or episodes kept of other tasks, and `ContaminationError` for held-out tasks that the policy was trained on.
    """
    if samples < 1 or max_turns < 1:
        raise UsageError(f"samples and max_turns are at least 1, got {samples} and {max_turns}.")
    parsed = Split.parse(split)
    make_env = registry.factory(env, parsed, **(options or {}))
    suite = _suite_of(make_env)
    chosen = choose_tasks(suite.tasks(parsed), tasks, group)
    must_be_unseen(chosen, trained, agent.name)
    plans = plan_evaluation(chosen, samples, seed=seed, label=label)
    monitor = monitor or Monitor()
    rules = _hurried(rules or Rules(), allowance.seconds)
    play = partial(
        collect, agent=agent, make_env=make_env, concurrency=concurrency, max_turns=max_turns, rules=rules
    )
    done = await _play(plans, play, allowance, keeper, monitor, on_progress)
    return Evaluation(
        env_id=suite.env_id,
        suite=suite.name,
        suite_version=suite.version,
        split=parsed,
        agent=agent.name,
        seed=seed,
        samples=samples,
        max_turns=max_turns,
        token_limit=allowance.tokens,
        time_limit=allowance.seconds,
        options=to_jsonable_python(dict(options or {}), fallback=repr),
        prices=allowance.prices,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        planned=len(plans),
        retried=keeper.retried if keeper else len(monitor.failures),
        wasted=keeper.wasted if keeper else _wasted(monitor),
        timing=Timing.of(done.values()),
        results=tuple(
            EpisodeResult.from_episode(episode, index % samples)
            for index, plan in enumerate(plans)
            if (episode := done.get(plan.episode_id)) is not None
        ),
    )


async def _play(
    plans: Sequence[EpisodePlan],
    play: Callable[..., Coroutine[Any, Any, list[Episode]]],
    allowance: Allowance,
    keeper: Keeper | None,
    monitor: Monitor,
    on_progress: OnProgress | None,
) -> dict[str, Episode]:
    """Play what is not done yet, within the allowance; return all that is done, by id."""
    done = keeper.finished({plan.episode_id for plan in plans}) if keeper else {}
    _must_be_planned(done, plans)
    spent = _Spent(allowance, done.values(), keeper.wasted if keeper else NO_TOKENS, monitor)
    tell = _counter(on_progress, len(plans), len(done)) if on_progress else None
    with keeper.writer() if keeper else nullcontext() as writer:

        def ended(episode: Episode) -> None:
            if writer is not None:
                writer.write(episode, iteration=0, phase=EVALUATED)
            if tell is not None:
                tell(episode)

        try:
            played = await play(
                [plan for plan in plans if plan.episode_id not in done],
                max_tokens=allowance.tokens,
                on_episode=ended,
                monitor=monitor,
                enough=spent.all,
            )
        finally:
            if keeper is not None:
                keeper.note(monitor.failures)
    return done | {episode.id: episode for episode in played}


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


def _must_be_planned(done: Mapping[str, Episode], plans: Sequence[EpisodePlan]) -> None:
    """Raise `UsageError` where what was played under an id is not what is planned under it now."""
    for plan in plans:
        episode = done.get(plan.episode_id)
        if episode is not None and (episode.task.key, episode.seed) != (plan.task.key, plan.seed):
            raise UsageError(
                f"{episode.id} was played with task {episode.task.id!r} as it was then, and the suite has changed "
                "since. Go on with the versions that it was begun with, or begin another evaluation."
            )


class _Spent:
    """Whether all has been spent that may be: by what was played before, what failed, and what is played now."""

    def __init__(
        self, allowance: Allowance, before: Collection[Episode], wasted: TokenCount, monitor: Monitor
    ) -> None:
        self._prices, self._limit = allowance.prices, allowance.cost
        self._monitor = monitor
        if self._limit is not None and self._prices is None:
            raise UsageError("A limit on the cost needs the prices of tokens; give both.")
        self._before = added(wasted, *(episode.usage for episode in before))
        self._ignored = monitor.usage

    def all(self) -> bool:
        if self._limit is None or self._prices is None:
            return False
        now, ignored = added(self._before, self._monitor.usage), self._ignored
        cost = self._prices.cost(now.prompt - ignored.prompt, now.completion - ignored.completion)
        return cost >= self._limit


def _wasted(monitor: Monitor) -> TokenCount:
    return added(*(failure.usage for failure in monitor.failures))


def _suite_of(make_env: Callable[[], AgentEnv]) -> TaskSuite:
    env = make_env()
    suite = env.suite
    env.close()
    return suite


def _hurried(rules: Rules, time_limit: float | None) -> Rules:
    """Return the rules with a time for each episode, which no decision may exceed either."""
    if time_limit is None:
        return rules
    limits = rules.limits
    hurried: Limits = replace(limits, episode_s=time_limit, policy_s=min(limits.policy_s, time_limit))
    return replace(rules, limits=hurried)


def _take_turns(tasks: Sequence[Task], limit: int | None) -> list[Task]:
    if limit is None or limit >= len(tasks):
        return list(tasks)
    kinds: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        kinds.setdefault((task.task_type, task.difficulty), []).append(task)
    rounds = chain.from_iterable(zip_longest(*kinds.values()))
    return [task for task in rounds if task is not None][:limit]


def _counter(on_progress: OnProgress, total: int, finished: int) -> Callable[[Episode], None]:
    def count(episode: Episode) -> None:
        nonlocal finished
        finished += 1
        on_progress(episode, finished, total)

    return count
