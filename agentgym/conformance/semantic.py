"""Does it mean what it says? Determinism, replay, snapshots, the oracle, and players with no idea."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentgym.conformance.subject import (
    CheckSkipped,
    Moment,
    Subject,
    Walk,
    act,
    begin,
    difference,
    random_action,
    require,
    same,
)
from agentgym.core.env import Action, AgentEnv
from agentgym.core.errors import NotForkableError
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason, Turn
from agentgym.rollout.replay import replay

_RETURNS = 3
"""Places on each walk that are returned to."""
_EPISODES = 40
"""Episodes of the players with no idea."""


def check_determinism(subject: Subject) -> str:
    """Two environments, one seed, the same actions: everything is equal."""
    compared = 0
    with subject.env() as one, subject.env() as other:
        for walk in subject.walks(one):
            task, seed = walk.task, walk.rng.getrandbits(31)
            first, second = begin(one, task, seed), begin(other, task, seed)
            for step in range(subject.limits.steps):
                found = difference(first, second)
                require(
                    found is None,
                    f"Two environments differ on task {task.id!r} after {step} equal steps: {found}. "
                    "Draw everything random from the task or the seed.",
                )
                if first.over:
                    break
                action = walk.choose(one, first.info)
                first, second = act(one, action), act(other, action)
                compared += 1
        _seeds_choose_tasks(one, other)
    return f"{compared} steps equal in two environments"


def _seeds_choose_tasks(one: AgentEnv, other: AgentEnv) -> None:
    for seed in range(5):
        first, second = one.reset(seed=seed), other.reset(seed=seed)
        require(
            one.task == other.task and same(first, second),
            f"reset(seed={seed}) chose {one.task.id!r} in one environment and {other.task.id!r} in another; "
            "draw the task from self.np_random after super().reset(seed=seed).",
        )


def check_replay(subject: Subject) -> str:
    """What was recorded is there again when it is played later, after other episodes and in another environment."""
    with subject.env() as env, subject.env() as other:
        records = [_recorded(env, walk, number, subject) for number, walk in enumerate(subject.walks(env))]
        for episode in reversed(records):
            for place, one in (("the same", env), ("another", other)):
                found = replay(episode, one)
                require(
                    found is None,
                    f"Task {episode.task.id!r}: played again in {place} environment after other episodes, {found}. "
                    "Keep nothing from one episode to the next: set everything in reset().",
                )
    return f"{2 * sum(len(episode.turns) for episode in records)} recorded steps equal when played again"


def _recorded(env: AgentEnv, walk: Walk, number: int, subject: Subject) -> Episode:
    """Take a walk and return the record of it."""
    turns: list[Turn] = []
    moment = begin(env, walk.task, number)
    while len(turns) < subject.limits.steps and not moment.over:
        action = walk.choose(env, moment.info)
        after = act(env, action)
        turns.append(
            Turn(
                moment.observation,
                action,
                after.reward,
                after.terminated,
                after.truncated,
                valid=bool(after.info.get("valid")),
                state_key=moment.key,
                policy_version=-1,
                prompt_start=0,
                prompt_ids=np.empty(0, np.int32),
                completion_ids=np.empty(0, np.int32),
                logprobs=np.empty(0, np.float32),
                loss_mask=np.empty(0, np.int8),
            )
        )
        moment = after
    return Episode(
        id=f"walk {number}",
        task=walk.task,
        group_id="",
        turns=turns,
        outcome=Outcome.SUCCESS if moment.info.get("success") else Outcome.FAILURE,
        score=sum(turn.reward for turn in turns),
        stop_reason=StopReason.COMPLETED if moment.over else StopReason.MAX_TURNS,
        seed=number,
        final_observation=moment.observation,
    )


@dataclass(frozen=True)
class _Stop:
    """A place on a walk: how to come back, what it was like, and what was done there."""

    saved: bytes
    moment: Moment
    action: Action
    after: Moment


def check_snapshot(subject: Subject) -> str:
    """After a restore, here or in another environment, the same actions lead to the same."""
    compared = 0
    with subject.env() as env, subject.env() as other:
        for walk in subject.walks(env):
            task, path = walk.task, _walked(env, walk, subject)
            begin(other, task, seed=1)
            for start in walk.rng.sample(range(len(path)), min(_RETURNS, len(path))):
                for place, one in (("the same", env), ("another", other)):
                    one.restore(path[start].saved)
                    require(
                        one.state_key() == path[start].moment.key,
                        f"Task {task.id!r}: the state key after restore in {place} environment is not the "
                        "one at the snapshot; save and restore everything that state_key reads.",
                    )
                    for stop in path[start:]:
                        found = difference(stop.after, act(one, stop.action))
                        require(
                            found is None,
                            f"Task {task.id!r}: after restore in {place} environment, {stop.action!r} led to "
                            f"something else ({found}); the snapshot leaves out a part of the state.",
                        )
                        compared += 1
    return f"{compared} steps equal after restores"


def _walked(env: AgentEnv, walk: Walk, subject: Subject) -> list[_Stop]:
    path: list[_Stop] = []
    moment = begin(env, walk.task)
    while len(path) < subject.limits.steps and not moment.over:
        try:
            saved = env.snapshot()
        except NotForkableError as error:
            raise CheckSkipped(f"the environment has no snapshots: {error}") from None
        action = walk.choose(env, moment.info)
        after = act(env, action)
        path.append(_Stop(saved, moment, action, after))
        moment = after
    return path


def check_oracle(subject: Subject) -> str:
    """The oracle solves tasks of every kind that it knows, in every split."""
    solved = unknown = 0
    kinds: set[tuple[str, str, str]] = set()
    for split in Split:
        tasks = subject.tasks_of_each_kind(split)
        with subject.env(split) as env:
            for task in tasks:
                moment = begin(env, task)
                if env.oracle() is None:  # it says from the start that it does not know this kind
                    unknown += 1
                    continue
                require(
                    _solves(env, moment, subject),
                    f"The oracle did not solve task {task.id!r} within {subject.limits.longest} steps; "
                    "play it from that task's start to see where it gives up or goes round in circles.",
                )
                solved += 1
                kinds.add((task.task_type, task.difficulty, task.group))
    if not solved:
        raise CheckSkipped("the environment has no oracle")
    without = f"; none for {unknown} tasks" if unknown else ""
    return f"{solved} tasks of {len(kinds)} kinds solved{without}"


def _solves(env: AgentEnv, moment: Moment, subject: Subject) -> bool:
    for _ in range(subject.limits.longest):
        action = env.oracle()
        if moment.over or action is None:
            break
        moment = act(env, action)
    return moment.info.get("success") is True


def check_floor(subject: Subject) -> str:
    """Saying nothing, or anything, hardly ever solves a task."""
    rates: list[str] = []
    for player in ("empty", "random"):
        solved = 0
        with subject.env() as env:
            tasks = subject.tasks_of_each_kind(Split.TRAIN)
            for episode in range(_EPISODES):
                task = tasks[episode * len(tasks) // _EPISODES]  # all kinds, where there are many of them
                solved += _plays_well(env, task, player, episode, subject)
        rate = solved / _EPISODES
        rates.append(f"{player} {rate:.0%}")
        require(
            rate <= subject.limits.floor,
            f"The {player} player solves {rate:.0%} of {_EPISODES} episodes, more than "
            f"{subject.limits.floor:.0%}: success says little about an agent; make the tasks harder.",
        )
    return ", ".join(rates)


def _plays_well(env: AgentEnv, task: Task, player: str, episode: int, subject: Subject) -> bool:
    rng = subject.rng("floor", episode)
    moment = begin(env, task, episode)
    for _ in range(subject.limits.longest):
        if moment.over:
            break
        idle = "" if "" in env.action_space else env.action_space.sample()
        moment = act(env, idle if player == "empty" else random_action(env, moment.info, rng))
    return bool(moment.info.get("success"))
