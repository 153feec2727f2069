"""The expert: looks things up, does what the policy allows, and tells what is asked for."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from itertools import pairwise

from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice.script import UNCHANGED, Changes, Script
from agentgym.environments.backoffice.user import User


def next_call(script: Script, user: User, done: Changes, looked_up: AbstractSet[str]) -> ToolCall | None:
    """Return the expert's next call, in the tools' own names; None when the user has gone.

    `done` is what has changed so far, `looked_up` the calls made before, as text. What an earlier stage asked for and
    was left undone is done first.
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
        elif step.stage == user.stage and str(step.call) not in looked_up:
            return step.call
    return ToolCall("reply", {"message": _message(script, user)})


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


def _message(script: Script, user: User) -> str:
    stage = script.stages[user.stage]
    missing = [what for what in stage.tells if (user.stage, what) not in user.heard]
    if missing:
        return " ".join(f"{what[0].upper()}{what[1:]} is {stage.tells[what]}." for what in missing)
    if not stage.calls:
        return "What can I do for you?" if user.stage == 0 else "Very well."
    own = [step for step in script.steps if step.stage == user.stage]
    changed = any(step.after is not None for step in own)
    return "It is done." if changed else "I am sorry, the policy does not allow that."
