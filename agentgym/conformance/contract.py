"""Does it speak the contract? Gymnasium's rules, `info`, errors, and how tasks are given."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

from gymnasium.envs.registration import EnvSpec as GymnasiumSpec
from gymnasium.utils.env_checker import check_env as gymnasium_check

from agentgym.conformance.subject import Subject, act, begin, random_action, require
from agentgym.core.env import AgentEnv
from agentgym.core.errors import StepError, TaskError
from agentgym.core.task import Split, Task

_EPISODES = 20
"""Random episodes played in search of an end."""
_FOREIGN_ENV = "agentgym/ConformanceOther-v0"


def check_gymnasium(subject: Subject) -> str:
    """Gymnasium's own check, where even a warning fails."""

    def again(**options: object) -> AgentEnv:
        return subject.spec.make(Split.TRAIN, **{**subject.options, **options})

    with subject.env() as env, warnings.catch_warnings():
        warnings.simplefilter("error")
        if env.spec is None:
            env.spec = GymnasiumSpec(subject.spec.id, again, disable_env_checker=True)
        gymnasium_check(env)
    return "gymnasium.utils.env_checker.check_env found nothing"


def check_info(subject: Subject) -> str:
    """`info` holds what the contract promises, after reset and each step."""
    rng = subject.rng("info")
    with subject.env() as env:
        moment = begin(env, env.suite.tasks(env.split)[0])
        steps = 0
        require(moment.info.get("valid") is True, "info['valid'] must be True after reset; set it there.")
        while True:
            info = moment.info
            require(
                isinstance(info.get("success"), bool) and isinstance(info.get("valid"), bool),
                f"info needs 'success' and 'valid', both bool, after step {steps}; got {sorted(info)}.",
            )
            progress = info.get("progress")
            require(
                isinstance(progress, float | int) and 0.0 <= progress <= 1.0,
                f"info['progress'] must be a number in [0, 1], got {progress!r} after step {steps}.",
            )
            require(
                info.get("task_id") == env.task.id,
                f"info['task_id'] is {info.get('task_id')!r}, but env.task.id is {env.task.id!r}.",
            )
            for action in info.get("admissible_actions", ()):
                require(action in env.action_space, f"The admissible {action!r} is not in the action space.")
            if moment.over or steps == subject.limits.steps:
                return f"complete over {steps} steps"
            moment = act(env, random_action(env, info, rng))
            steps += 1


def check_step_errors(subject: Subject) -> str:
    """`step` before `reset`, and after the end, raises `StepError`."""
    rng = subject.rng("order")
    with subject.env() as env:
        _must_raise(StepError, lambda: env.step(env.action_space.sample()), "step before the first reset")
        tasks = env.suite.tasks(env.split)
        for attempt in range(_EPISODES):
            moment = begin(env, tasks[rng.randrange(len(tasks))], seed=attempt)
            for _ in range(subject.limits.longest):
                if moment.over:
                    _must_raise(StepError, lambda: env.step(env.action_space.sample()), "step after the end")
                    return "raised before the first reset and after the end"
                moment = act(env, random_action(env, moment.info, rng))
    return f"raised before the first reset; no episode ended within {subject.limits.longest} random steps"


def check_tasks(subject: Subject) -> str:
    """`reset` plays the task it is given, by itself or by id, and refuses those that do not fit."""
    with subject.env() as env:
        task = env.suite.tasks(Split.TRAIN)[0]
        for given in (task, task.id):
            env.reset(seed=0, options={"task": given})
            require(env.task == task, f"reset was given task {given!r}, but env.task is {env.task!r}.")
        wrong: list[tuple[Task | str, str]] = [
            (replace(task, env_id=_FOREIGN_ENV), "reset with a task of another environment"),
            ("no such task", "reset with an unknown task id"),
        ]
        heldout = env.suite.tasks(Split.HELDOUT)[:1]
        wrong += [(other, "reset with a task of another split") for other in heldout]
        for other, what in wrong:
            _must_raise(TaskError, lambda given=other: env.reset(seed=0, options={"task": given}), what)
    return "played by task and by id; wrong ones refused"


def _must_raise(expected: type[Exception], call: Callable[[], object], what: str) -> None:
    try:
        call()
    except expected:
        return
    except Exception as error:  # noqa: BLE001 - whatever else it is, it is what the author has to replace
        outcome = f"raised {error!r}"
    else:
        outcome = "was accepted"
    require(False, f"{what} {outcome}; raise {expected.__name__}, saying what to do instead.")


def check_reward(subject: Subject) -> str:
    """Rewards are finite numbers, and their sum over an episode stays in the declared range."""
    low, high = subject.limits.score
    seen: set[float] = set()
    with subject.env() as env:
        for task in subject.tasks_of_each_kind(Split.TRAIN):
            for expert in (False, True):
                score = _score(env, task, expert, subject)
                seen.add(score)
                require(
                    math.isfinite(score) and low <= score <= high,
                    f"Task {task.id!r} gave a score of {score}, outside [{low}, {high}]; scale the rewards.",
                )
    return f"scores from {min(seen):g} to {max(seen):g}"


def _score(env: AgentEnv, task: Task, expert: bool, subject: Subject) -> float:
    moment = begin(env, task)
    score = 0.0
    chooser = subject.rng("reward", task.id, expert)
    for _ in range(subject.limits.longest):
        action = env.oracle() if expert else random_action(env, moment.info, chooser)
        if moment.over or action is None:
            break
        moment = act(env, action)
        score += moment.reward
    return score
