"""The expert of the phone: reads what it has to, makes each change that is still missing, answers, and ends.

It looks at the database to know what is missing, and at the screen to know where it is: so it goes on from any state,
and undoes what went wrong on the way wherever an application lets it.
"""

from __future__ import annotations

from agentgym.environments.phone.app import Change
from agentgym.environments.phone.device import Device
from agentgym.environments.phone.expert import Route
from agentgym.environments.phone.goals import Goal

PATIENCE = 2
"""How many actions an expert in haste takes before it says that it is done."""


def next_action(goal: Goal, device: Device, seen: int, answer: str) -> str | None:
    """Return the expert's next action; None where no way leads to success any more.

    `seen` has a bit for each of the goal's clues that has been on the screen.
    """
    for number, clue in enumerate(goal.clues):
        if not seen >> number & 1:
            return clue.next(device)
    changes = goal.remaining(device.store)
    if changes:
        routes = [_route(device, change) for change in changes]
        return None if None in routes else routes[0].next(device) if routes[0] is not None else None
    if not goal.is_answer(answer):
        return f"answer {goal.answer}"
    return "status infeasible" if goal.infeasible else "status complete"


def look_around(goal: Goal, device: Device, seen: int) -> int:
    """Return `seen` with the clues that are on the screen now."""
    for number, clue in enumerate(goal.clues):
        if not seen >> number & 1 and clue.seen(device):
            seen |= 1 << number
    return seen


def _route(device: Device, change: Change) -> Route | None:
    for app in device.apps.values():
        if any(table.name == change.table for table in app.tables):
            return app.routes(device.store, change)
    return None
