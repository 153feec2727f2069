"""From a task to its world: where every thing stands when the game begins."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from agentgym.core.errors import TaskError
from agentgym.core.task import Split, Task
from agentgym.environments.household.catalog import OBJECTS, OPENABLE, objects_of
from agentgym.environments.household.errands import (
    APPLIANCES,
    goal_of,
    instruction,
    is_feasible,
    is_reserved,
    pair,
)
from agentgym.environments.household.layouts import SIZES, Layout, layout
from agentgym.environments.household.world import Goal, TaskType, Thing, World, place_in_list

_MOST_OF_A_CLASS = 3
"""No more things of one class than this are put in a room to fill it."""


def build_world(task: Task) -> World:
    """Build the world of a household task; the same task gives the same world everywhere.

    Raises `TaskError` when the task's params are unknown, when the goal cannot be reached in the layout,
    and when a task outside the held-out split asks for what is reserved for it.
    """
    goal = goal_of(task.params)
    place = layout(str(task.params.get("layout")))
    world_seed = task.params.get("world_seed")
    if not isinstance(world_seed, int):
        raise TaskError(f"Task {task.id!r}: params need an integer world_seed, got {world_seed!r}.")
    if not is_feasible(goal, place):
        raise TaskError(f"Task {task.id!r}: {' to '.join(pair(goal))} cannot be asked for in {place.name}.")
    if task.split is not Split.HELDOUT and (place.unseen or is_reserved(*pair(goal))):
        raise TaskError(
            f"Task {task.id!r} of split {task.split.value} uses a layout or goal that only held-out tasks "
            f"may use: {place.name}, {' to '.join(pair(goal))}. Learning from it would spoil the evaluation."
        )
    rng = random.Random(f"household world: {world_seed}")
    sentence = instruction(goal, rng)
    placed = _place_targets(goal, place, rng)
    _fill(placed, goal, place, rng)
    return World(
        receptacles=place.receptacles,
        things=_things(placed, rng),
        can_contain=place.can_contain,
        goal=goal,
        instruction=sentence,
    )


def _place_targets(goal: Goal, place: Layout, rng: random.Random) -> list[tuple[str, int]]:
    """Put what the goal needs away from where the goal wants it, and surplus things of the class about.

    Returns pairs (object class, index of its receptacle).
    """
    size = SIZES[place.difficulty]
    everywhere = place.spots[goal.object_type]
    away = [i for i in everywhere if place.receptacles[i].rtype != goal.receptacle_type]
    # A surplus thing may lie at the goal already where that does not solve the task.
    surplus = everywhere if goal.task_type in APPLIANCES else away
    needed = 2 if goal.task_type is TaskType.PLACE_TWO else 1
    choices = [away] * needed + [surplus] * rng.randint(0, size.decoys)
    placed = [(goal.object_type, _hide(spots, place, rng)) for spots in choices]
    if goal.lamp_type:
        placed.append((goal.lamp_type, rng.choice(place.spots[goal.lamp_type])))
    return placed


def _hide(spots: Sequence[int], place: Layout, rng: random.Random) -> int:
    """Choose one of `spots`, behind a door as often as the difficulty says, where there is the choice."""
    hidden = [i for i in spots if place.receptacles[i].rtype in OPENABLE]
    in_sight = [i for i in spots if place.receptacles[i].rtype not in OPENABLE]
    first, second = (
        (hidden, in_sight) if rng.random() < SIZES[place.difficulty].hidden else (in_sight, hidden)
    )
    return rng.choice(first or second)


def _fill(placed: list[tuple[str, int]], goal: Goal, place: Layout, rng: random.Random) -> None:
    """Add things of other classes until the room is as full as its difficulty says."""
    target = rng.randint(*SIZES[place.difficulty].things)
    counts = Counter(otype for otype, _ in placed)
    classes = [each.name for each in objects_of(place.room) if each.name != goal.object_type]
    while len(placed) < target and classes:
        otype = rng.choice(classes)
        spots = place.spots[otype]
        if counts[otype] >= _MOST_OF_A_CLASS or not spots:
            classes.remove(otype)
            continue
        counts[otype] += 1
        placed.append((otype, rng.choice(spots)))


def _things(placed: list[tuple[str, int]], rng: random.Random) -> tuple[Thing, ...]:
    """Number the things of each class at random, so that a number tells nothing; list them as ALFWorld does."""
    rng.shuffle(placed)
    numbers: Counter[str] = Counter()
    things: list[Thing] = []
    for otype, receptacle in placed:
        numbers[otype] += 1
        kind = OBJECTS[otype]
        things.append(
            Thing(
                name=f"{otype.lower()} {numbers[otype]}",
                otype=otype,
                receptacle=receptacle,
                pickupable=kind.pickupable,
                cleanable=kind.cleanable,
                heatable=kind.heatable,
                coolable=kind.coolable,
                sliceable=kind.sliceable,
                toggleable=kind.toggleable,
                holds_others=kind.holds_others,
                slices=kind.slices,
            )
        )
    return tuple(sorted(things, key=lambda thing: place_in_list(thing.name)))
