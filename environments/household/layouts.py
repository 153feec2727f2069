"""Rooms to play in: which receptacles there are, and how many of each.

Layouts are generated from their names alone, so a name is all a task has to record. No two layouts of a
room and difficulty have the same receptacles, and the last ones of each pool are kept for the unseen part
of the held-out tasks.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property

from agentgym.core.errors import TaskError, unknown_name_message
from agentgym.environments.household.catalog import OBJECTS, OPENABLE, Room, objects_of
from agentgym.environments.household.world import Receptacle, place_in_list

SEEN_LAYOUTS = 40
"""Layouts of each room and difficulty that every split may use."""
UNSEEN_LAYOUTS = 12
"""Layouts of each room and difficulty that only held-out tasks use."""


class Difficulty(StrEnum):
    """How big a room is and how well it hides things."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


@dataclass(frozen=True, slots=True)
class Size:
    """What a difficulty means."""

    receptacles: tuple[int, int]
    """Fewest and most receptacles."""
    things: tuple[int, int]
    """Fewest and most things, the target included."""
    hidden: float
    """Probability that a target starts behind a door, where there is a fitting one."""
    decoys: int
    """Most surplus things of the target's class."""


SIZES: dict[Difficulty, Size] = {
    Difficulty.EASY: Size(receptacles=(5, 8), things=(4, 8), hidden=0.35, decoys=0),
    Difficulty.MEDIUM: Size(receptacles=(9, 14), things=(9, 14), hidden=0.5, decoys=1),
    Difficulty.HARD: Size(receptacles=(15, 25), things=(15, 25), hidden=0.65, decoys=2),
}

_ALWAYS: dict[Room, tuple[str, ...]] = {
    Room.KITCHEN: ("CounterTop", "Fridge", "Microwave", "SinkBasin"),
    Room.BATHROOM: ("SinkBasin", "Toilet"),
    Room.BEDROOM: ("Bed", "SideTable"),
    Room.LIVING_ROOM: ("Sofa", "SideTable"),
}
"""What every layout of a room has: the appliances, and a place for a lamp."""

_MOST: dict[Room, dict[str, int]] = {
    Room.KITCHEN: {
        "Cabinet": 10,
        "CoffeeMachine": 1,
        "CounterTop": 3,
        "DiningTable": 2,
        "Drawer": 7,
        "GarbageCan": 1,
        "Shelf": 3,
        "SideTable": 1,
        "StoveBurner": 4,
    },
    Room.BATHROOM: {
        "BathtubBasin": 1,
        "Cabinet": 6,
        "Cart": 1,
        "CounterTop": 2,
        "Drawer": 6,
        "GarbageCan": 1,
        "HandTowelHolder": 2,
        "LaundryHamper": 1,
        "Shelf": 4,
        "SideTable": 1,
        "SinkBasin": 2,
        "ToiletPaperHanger": 1,
        "TowelHolder": 2,
    },
    Room.BEDROOM: {
        "ArmChair": 2,
        "Bed": 2,
        "Cabinet": 4,
        "CounterTop": 1,
        "Desk": 2,
        "Drawer": 8,
        "Dresser": 2,
        "GarbageCan": 1,
        "LaundryHamper": 1,
        "Safe": 1,
        "Shelf": 6,
        "SideTable": 3,
    },
    Room.LIVING_ROOM: {
        "ArmChair": 3,
        "Cabinet": 4,
        "CoffeeTable": 2,
        "DiningTable": 1,
        "Drawer": 7,
        "Dresser": 2,
        "GarbageCan": 1,
        "Ottoman": 2,
        "Safe": 1,
        "Shelf": 6,
        "SideTable": 3,
        "Sofa": 2,
        "TVStand": 1,
    },
}
"""What else there may be, with the greatest number of each class."""


@dataclass(frozen=True)
class Layout:
    """One room without its movable things."""

    name: str
    room: Room
    difficulty: Difficulty
    unseen: bool
    """Whether only held-out tasks may use it."""
    receptacles: tuple[Receptacle, ...]

    @cached_property
    def classes(self) -> frozenset[str]:
        """The receptacle classes it has."""
        return frozenset(each.rtype for each in self.receptacles)

    @cached_property
    def spots(self) -> dict[str, tuple[int, ...]]:
        """For each class of things, the indices of the receptacles it can be in; some have none."""
        return {
            name: tuple(i for i, each in enumerate(self.receptacles) if each.rtype in kind.places)
            for name, kind in OBJECTS.items()
        }

    @cached_property
    def can_contain(self) -> frozenset[tuple[str, str]]:
        """Which things of the room may be put into which of its receptacles, as pairs of classes."""
        movable = [each for each in objects_of(self.room) if each.pickupable]
        return frozenset((place, each.name) for each in movable for place in each.places & self.classes)


@cache
def layouts(room: Room, difficulty: Difficulty) -> tuple[Layout, ...]:
    """Return the pool of a room and difficulty: the seen layouts, then the unseen ones."""
    rng = random.Random(f"household layouts: {room}, {difficulty}")
    contents: dict[tuple[str, ...], None] = {}
    while len(contents) < SEEN_LAYOUTS + UNSEEN_LAYOUTS:
        contents[_draw_classes(rng, room, SIZES[difficulty].receptacles)] = None
    return tuple(
        Layout(
            name=f"{room}-{difficulty}-{number:02d}",
            room=room,
            difficulty=difficulty,
            unseen=number >= SEEN_LAYOUTS,
            receptacles=_receptacles(classes),
        )
        for number, classes in enumerate(contents)
    )


def layout(name: str) -> Layout:
    """Return the layout with this name; raises `TaskError` with a suggestion."""
    found = _by_name().get(name)
    if found is None:
        raise TaskError(unknown_name_message("household layout", name, _by_name())[:400])
    return found


@cache
def _by_name() -> dict[str, Layout]:
    return {
        each.name: each for room in Room for difficulty in Difficulty for each in layouts(room, difficulty)
    }


def _draw_classes(rng: random.Random, room: Room, bounds: tuple[int, int]) -> tuple[str, ...]:
    """Draw the sorted receptacle classes of one layout, with repetitions."""
    chosen = Counter(_ALWAYS[room])
    most = _MOST[room]
    target = rng.randint(*bounds)
    while chosen.total() < target:
        open_classes = [name for name, limit in most.items() if chosen[name] < limit]
        chosen[rng.choice(open_classes)] += 1
    return tuple(sorted(chosen.elements()))


def _receptacles(classes: tuple[str, ...]) -> tuple[Receptacle, ...]:
    """Number the receptacles of each class, and list them as ALFWorld does."""
    numbers: Counter[str] = Counter()
    classes_by_name: dict[str, str] = {}
    for rtype in classes:
        numbers[rtype] += 1
        classes_by_name[f"{rtype.lower()} {numbers[rtype]}"] = rtype
    return tuple(
        Receptacle(name, classes_by_name[name], classes_by_name[name] in OPENABLE, location=location)
        for location, name in enumerate(sorted(classes_by_name, key=place_in_list), start=1)
    )
