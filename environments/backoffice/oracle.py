"""The experts: a careful one, who looks things up, does what the policy allows and tells what is asked for, and a hasty
one, who on three in five tasks does not look."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import pairwise
from typing import TypeAlias

from agentgym.core.haste import in_haste
from agentgym.core.task import Task
from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice.script import UNCHANGED, Changes, Script
from agentgym.environments.backoffice.user import User

Guess: TypeAlias = Callable[[str], str]
"""Makes up a figure, date or time in the place of the true one."""


def guess_of(expert: str, task: Task) -> Guess | None:
    """Return how an expert makes up what it does not look up on a task; None where it looks.

    A digit becomes one that is no larger, so that a time stays a time; the same each time it is asked for.
    """
    return partial(_made_up, task.key) if in_haste(expert, task) else None


def _made_up(key: str, truth: str) -> str:
    drawn = random.Random(f"{key} {truth}")
    return re.sub("[1-9]", lambda digit: str(drawn.randint(1, int(digit[0]))), truth)


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
        tells = {what: stage.tells[what] for what in missing}
        if guess is not None and not changed:
            tells = {what: guess(truth) for what, truth in tells.items()}
        return " ".join(f"{what[0].upper()}{what[1:]} is {told}." for what, told in tells.items())
    if not stage.calls:
        return "What can I do for you?" if user.stage == 0 else "Very well."
    return "It is done." if changed else "I am sorry, the policy does not allow that."
