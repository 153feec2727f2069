"""Is there one state key for each state? Neither more (false splits) nor fewer (collisions)."""

from __future__ import annotations

from typing import Any

from agentgym.conformance.subject import Moment, Subject, act, begin, require, same
from agentgym.core.env import AgentEnv
from agentgym.core.errors import NotForkableError
from agentgym.core.task import Task

_PROBES = 8
"""Actions tried in a state to see how it behaves."""


def check_false_splits(subject: Subject) -> str:
    """States that are equal have equal keys: nothing but the state goes into a key."""
    refused = 0
    with subject.env() as env, subject.env() as other:
        for walk in subject.walks(env):
            task = walk.task
            moment, twin = begin(env, task, seed=1), begin(other, task, seed=2)
            for _ in range(subject.limits.steps):
                require(
                    env.state_key() == moment.key == twin.key,
                    f"Task {task.id!r}: one state, reached twice by the same actions, has different keys; "
                    "leave seeds, times, addresses and counters out of state_key.",
                )
                if moment.over:
                    break
                action = walk.choose(env, moment.info)
                before = moment
                moment, twin = act(env, action), act(other, action)
                if moment.info.get("valid") is False and not moment.over:
                    refused += 1
                    require(
                        moment.key == before.key,
                        f"Task {task.id!r}: {action!r} was refused (info['valid'] is False) and yet changed "
                        "the state key; leave the history and the step count out of state_key.",
                    )
                elif not moment.over and walk.rng.random() < 0.2:
                    moment, twin, was_refused = _nonsense(env, other, moment, twin, task)
                    refused += was_refused
    return f"keys equal on pairs of walks, and after {refused} refused actions"


def _nonsense(
    env: AgentEnv, other: AgentEnv, moment: Moment, twin: Moment, task: Task
) -> tuple[Moment, Moment, bool]:
    """Try an action that is most likely refused: a sample of the action space."""
    action = env.action_space.sample()
    after, after_twin = act(env, action), act(other, action)
    was_refused = after.info.get("valid") is False
    require(
        not was_refused or after.key == moment.key,
        f"Task {task.id!r}: the refused action {action!r} changed the state key; leave the history and the "
        "step count out of state_key.",
    )
    return after, after_twin, was_refused


def check_collisions(subject: Subject) -> str:
    """States that behave differently have different keys."""
    met = again = 0
    known: dict[str, dict[str, Any]] = {}
    with subject.env() as env:
        for walk in subject.walks(env):
            moment = begin(env, walk.task)
            for _ in range(subject.limits.steps):
                if moment.over:
                    break
                behaviour = _behaviour(env, moment, subject)
                met += 1
                if moment.key in known:
                    again += 1
                    _must_behave_alike(known[moment.key], behaviour, walk.task)
                known[moment.key] = behaviour
                moment = act(env, walk.choose(env, moment.info))
    return f"{again} of {met} states met again behaved as before"


def _behaviour(env: AgentEnv, moment: Moment, subject: Subject) -> dict[str, Any]:
    """Describe a state: what can be done, how far it is, and what some actions lead to."""
    behaviour: dict[str, Any] = {
        "admissible actions": moment.info.get("admissible_actions"),
        "success": moment.info.get("success"),
        "progress": moment.info.get("progress"),
    }
    try:
        saved = env.snapshot()
    except NotForkableError:
        return behaviour
    admissible = list(moment.info.get("admissible_actions", ()))
    probes = subject.rng("probes", moment.key).sample(admissible, min(_PROBES, len(admissible)))
    for action in probes:
        after = act(env, action)
        behaviour[f"what {action!r} leads to"] = (
            after.observation,
            after.reward,
            after.terminated,
            after.key,
        )
        env.restore(saved)
    return behaviour


def _must_behave_alike(known: dict[str, Any], behaviour: dict[str, Any], task: Task) -> None:
    for name in {**known, **behaviour}:
        one, other = known.get(name), behaviour.get(name)
        require(
            same(one, other),
            f"Task {task.id!r}: one state key stands for two states that differ in {name}: "
            f"{one!r} against {other!r}. Put what makes the difference into state_key.",
        )
