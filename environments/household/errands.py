"""What can be asked for: the goals of each kind of task, how they are worded, which are kept back."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from functools import cache

from agentgym.core.errors import TaskError
from agentgym.environments.household.catalog import (
    CONTAINERS,
    OBJECTS,
    SINGLE,
    ObjectClass,
    Room,
    objects_of,
)
from agentgym.environments.household.layouts import Difficulty, Layout, layouts
from agentgym.environments.household.tables import CLEANER, COOLER, HEATER
from agentgym.environments.household.world import Goal, TaskType

RESERVED_SHARE = 5
"""One pair in so many is kept for the unseen part of the held-out tasks."""

ROOMS: dict[TaskType, tuple[Room, ...]] = {
    TaskType.PLACE: tuple(Room),
    TaskType.CLEAN: (Room.KITCHEN, Room.BATHROOM),
    TaskType.HEAT: (Room.KITCHEN,),
    TaskType.COOL: (Room.KITCHEN,),
    TaskType.LOOK: (Room.BEDROOM, Room.LIVING_ROOM),
    TaskType.PLACE_TWO: tuple(Room),
}
"""Where each kind of task can play."""

LAMPS = ("DeskLamp", "FloorLamp")

APPLIANCES: dict[TaskType, str] = {
    TaskType.CLEAN: CLEANER,
    TaskType.HEAT: HEATER,
    TaskType.COOL: COOLER,
}
"""The receptacle class that a kind of task needs besides the goal's."""

_WORDINGS: dict[TaskType, tuple[str, ...]] = {
    TaskType.PLACE: (
        "put a {obj} {into} {place}",
        "put some {obj} {into} {place}",
        "find a {obj} and leave it {into} {place}",
        "move one {obj} to a {place}",
    ),
    TaskType.CLEAN: (
        "put a clean {obj} {into} {place}",
        "clean some {obj} and put it {into} {place}",
        "wash a {obj}, then leave it {into} {place}",
    ),
    TaskType.HEAT: (
        "put a hot {obj} {into} {place}",
        "heat some {obj} and put it {into} {place}",
        "warm up a {obj}, then leave it {into} {place}",
    ),
    TaskType.COOL: (
        "put a cool {obj} {into} {place}",
        "cool some {obj} and put it {into} {place}",
        "chill a {obj}, then leave it {into} {place}",
    ),
    TaskType.LOOK: (
        "look at {obj} under the {place}",
        "examine the {obj} with the {place}",
        "hold a {obj} in the light of a {place}",
    ),
    TaskType.PLACE_TWO: (
        "put two {obj} {into} {place}",
        "find two {obj} and put them {into} {place}",
        "bring a pair of {obj} together {into} one {place}",
    ),
}


def instruction(goal: Goal, rng: random.Random) -> str:
    """Return one of the wordings of a goal, names as ALFWorld writes them (lower case, no spaces)."""
    place = goal.lamp_type or goal.receptacle_type
    return rng.choice(_WORDINGS[goal.task_type]).format(
        obj=goal.object_type.lower(),
        place=place.lower(),
        into="in" if place in CONTAINERS else "on",
    )


def is_reserved(object_type: str, place: str) -> bool:
    """Return whether only unseen held-out tasks may ask for this object at this receptacle or lamp.

    Never for places that belong to one or two classes of things: train would not know the place at all.
    """
    if place in SINGLE:
        return False
    digest = hashlib.blake2b(f"{object_type}/{place}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % RESERVED_SHARE == 0


def pair(goal: Goal) -> tuple[str, str]:
    """Return the object class and the receptacle (or lamp) class of a goal."""
    return goal.object_type, goal.lamp_type or goal.receptacle_type


def goal_params(goal: Goal) -> dict[str, str]:
    """Return what a task records of its goal; the inverse of `goal_of`."""
    object_type, place = pair(goal)
    where = "lamp" if goal.lamp_type else "receptacle"
    return {"task_type": goal.task_type.value, "object": object_type, where: place}


def goal_of(params: Mapping[str, object]) -> Goal:
    """Read a goal from a task's params; raises `TaskError` for unknown values."""
    try:
        task_type = TaskType(str(params["task_type"]))
        where = "lamp" if task_type is TaskType.LOOK else "receptacle"
        return _goal(task_type, str(params["object"]), str(params[where]))
    except (KeyError, ValueError) as error:
        raise TaskError(
            f"Household task params need task_type (one of {[t.value for t in TaskType]}), object and "
            f"receptacle (or lamp, for {TaskType.LOOK.value}); got {dict(params)} ({error!r})."
        ) from None


def is_feasible(goal: Goal, layout: Layout) -> bool:
    """Return whether the goal can be reached, and is not reached at once, in a layout."""
    classes = layout.classes
    starts = OBJECTS[goal.object_type].places & classes
    if layout.room not in ROOMS[goal.task_type] or goal not in goals(goal.task_type, layout.room):
        return False
    if goal.lamp_type:
        return bool(starts) and bool(OBJECTS[goal.lamp_type].places & classes)
    appliance = APPLIANCES.get(goal.task_type, goal.receptacle_type)
    return {goal.receptacle_type, appliance} <= classes and bool(starts - {goal.receptacle_type})


@cache
def goals(task_type: TaskType, room: Room) -> dict[Goal, None]:
    """Return every goal of a kind that makes sense in a room, in a fixed order."""
    found: dict[Goal, None] = {}
    for each in objects_of(room):
        if not _suits(task_type, each):
            continue
        places = LAMPS if task_type is TaskType.LOOK else sorted(each.places)
        found |= {_goal(task_type, each.name, place): None for place in places if _is_asked(task_type, place)}
    return found


@cache
def choices(
    task_type: TaskType, difficulty: Difficulty, unseen: bool
) -> tuple[tuple[Layout, list[Goal]], ...]:
    """Return the layouts for a kind of task, each with the goals that may be asked for there.

    With `unseen`, both the layouts and the goals' pairs are those that no other task uses.
    """
    found: list[tuple[Layout, list[Goal]]] = []
    for room in ROOMS[task_type]:
        allowed = [goal for goal in goals(task_type, room) if is_reserved(*pair(goal)) == unseen]
        for each in layouts(room, difficulty):
            if each.unseen != unseen:
                continue
            feasible = [goal for goal in allowed if is_feasible(goal, each)]
            if feasible:
                found.append((each, feasible))
    return tuple(found)


def _goal(task_type: TaskType, object_type: str, place: str) -> Goal:
    if object_type not in OBJECTS:
        raise ValueError(f"no object class {object_type!r}")
    if task_type is TaskType.LOOK:
        return Goal(task_type, object_type, lamp_type=place)
    return Goal(task_type, object_type, receptacle_type=place)


def _suits(task_type: TaskType, each: ObjectClass) -> bool:
    fitting = {
        TaskType.CLEAN: each.cleanable,
        TaskType.HEAT: each.heatable,
        TaskType.COOL: each.coolable,
    }
    return each.pickupable and fitting.get(task_type, True)


def _is_asked(task_type: TaskType, place: str) -> bool:
    """Nobody asks to put a thing back into what treated it, or two things where only one belongs."""
    return place != APPLIANCES.get(task_type) and not (task_type is TaskType.PLACE_TWO and place in SINGLE)
