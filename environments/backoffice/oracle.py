"""The experts. The careful one looks things up, does what the policy allows, and tells what is asked for; the hasty one
mostly does not look."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from itertools import pairwise
from typing import TypeAlias

from agentgym.core.task import Task
from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice.script import UNCHANGED, Changes, Script
from agentgym.environments.backoffice.user import User


EXPERTS = ("careful", "hasty")
HASTE = 0.5
"""On which share of the tasks the hasty expert looks nothing up."""

Guess: TypeAlias = Callable[[str], str]
"""Makes up a figure, date or time in the place of the true one."""


def guess_of(expert: str, task: Task) -> Guess | None:
    """Return how an expert makes up what it does not look up on a task; None where it looks.

    That depends on the task alone: a digit becomes one that is no larger, so that a time stays a time.
    """
    chance = random.Random(f"haste {task.key}")
    if expert != "hasty" or chance.random() >= HASTE:
        return None
    seed = chance.random()

    def guess(truth: str) -> str:
        drawn = random.Random(f"{seed} {truth}")
        return re.sub("[1-9]", lambda digit: str(drawn.randint(1, int(digit[0]))), truth)

    return guess


def next_call(
    script: Script, user: User, done: Changes, looked_up: AbstractSet[str], guess: Guess | None = None
) -> ToolCall | None:
    """Return the expert's next call, in the tools' own names; None when the user has gone.

    `done` is what has changed so far, `looked_up` the calls made before, as text. What an earlier stage asked for and
    was left undone is done first. With `guess` nothing is looked up: what a stage asks to be told is made up, unless
    its changes tell it.
    """
    if user.over:
        return None
    reached = _changes_made(script, done)
    write = -1
    for step in script.steps:
        if step.stage > user.stage:
            break
        if step.after is not None:
            write += 1
            if write >= reached:
                return step.call
        elif step.stage == user.stage and guess is None and str(step.call) not in looked_up:
            return step.call
    return ToolCall("reply", {"message": _message(script, user, guess)})


def _changes_made(script: Script, done: Changes) -> int:
    """Return how many of the expert's changes are made; where others were, those that left their mark."""
    states = [UNCHANGED, *(step.after for step in script.steps if step.after is not None)]
    for number in range(len(states) - 1, 0, -1):
        if states[number] == done:
            return number
    reached = 0
    for before, after in pairwise(states):
        if not after - before <= done:
            break
        reached += 1
    return reached


def _message(script: Script, user: User, guess: Guess | None) -> str:
    stage = script.stages[user.stage]
    own = [step for step in script.steps if step.stage == user.stage]
    changed = any(step.after is not None for step in own)
    missing = [what for what in stage.tells if (user.stage, what) not in user.heard]
    if missing:
        known = (lambda truth: truth) if guess is None or changed else guess
        return " ".join(f"{what[0].upper()}{what[1:]} is {known(stage.tells[what])}." for what in missing)
    if not stage.calls:
        return "What can I do for you?" if user.stage == 0 else "Very well."
    return "It is done." if changed else "I am sorry, the policy does not allow that."
