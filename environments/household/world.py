"""One household game as data: what stands where, what can be done with it, what is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class TaskType(StrEnum):
    """ALFWorld's six kinds of task."""

    PLACE = "pick_and_place_simple"
    """Put one object of a type into a receptacle of a type."""
    CLEAN = "pick_clean_then_place_in_recep"
    """The same with an object cleaned in a sink basin first."""
    HEAT = "pick_heat_then_place_in_recep"
    """The same with an object heated in a microwave first."""
    COOL = "pick_cool_then_place_in_recep"
    """The same with an object cooled in a fridge first."""
    LOOK = "look_at_obj_in_light"
    """Hold an object where a lit lamp stands."""
    PLACE_TWO = "pick_two_obj_and_place"
    """Put two objects of a type into one receptacle of a type."""


@dataclass(frozen=True, slots=True)
class Receptacle:
    """A place that holds objects. `name` is what the text says ("cabinet 1"), `rtype` its class ("Cabinet")."""

    name: str
    rtype: str
    openable: bool = False
    opened: bool = False
    """Whether it is open when the game begins."""
    location: int = 0
    """Receptacles with equal locations are reached together."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A movable or usable object. `name` is what the text says ("apple 1"), `otype` its class ("Apple")."""

    name: str
    otype: str
    receptacle: int | None
    """Index of the receptacle it is in when the game begins."""
    pickupable: bool = True
    cleanable: bool = False
    heatable: bool = False
    coolable: bool = False
    sliceable: bool = False
    toggleable: bool = False
    holds_others: bool = False
    """ALFWorld's `isReceptacleObject` (a bowl, a box)."""
    slices: bool = False
    """Whether it slices others (a knife)."""
    clean: bool = False
    hot: bool = False
    cool: bool = False
    sliced: bool = False
    toggled: bool = False
    """What has been done to it before the game begins."""
    inside: tuple[int, ...] = ()
    """The things it lies in (a bowl, a box), for the text alone: nothing goes in or out of them."""
    also_in: tuple[int, ...] = ()
    """Further receptacles it is in at once. ALFWorld's own games have such things, so they can be told."""
    locations: tuple[int, ...] | None = None
    """Where it is within reach of a knife at first; None for where its receptacle stands."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What wins the game. Types are classes such as "Apple", "Fridge", "DeskLamp"."""

    task_type: TaskType
    object_type: str
    receptacle_type: str = ""
    lamp_type: str = ""
    """For LOOK: which lamp must be on."""
    sliced: bool = False
    """Whether the object must be sliced."""


@dataclass(frozen=True, slots=True)
class World:
    """A whole game. Tuples are in the order in which the text lists them."""

    receptacles: tuple[Receptacle, ...]
    things: tuple[Thing, ...]
    can_contain: frozenset[tuple[str, str]]
    """Pairs (rtype, otype): which classes of object go into which classes of receptacle."""
    goal: Goal
    instruction: str
    """The task sentence without "Your task is to: " and the full stop."""
    start_location: int = -1
    """Where the agent begins; in the middle of the room, unless a receptacle has this location."""


def in_alfworld_order(world: World) -> World:
    """Return the same game listed as ALFWorld lists it: by class, higher numbers first.

    ALFWorld's lists follow the identifiers in its game files, and it numbers from the end. A world in
    another order is played just as well, but no game folder can hold it.
    """
    receptacles = sorted(
        range(len(world.receptacles)), key=lambda i: place_in_list(world.receptacles[i].name)
    )
    things = sorted(range(len(world.things)), key=lambda i: place_in_list(world.things[i].name))
    new_receptacle = {old: new for new, old in enumerate(receptacles)}
    new_thing = {old: new for new, old in enumerate(things)}
    return replace(
        world,
        receptacles=tuple(world.receptacles[i] for i in receptacles),
        things=tuple(
            replace(
                world.things[i],
                receptacle=_renumbered(world.things[i].receptacle, new_receptacle),
                also_in=tuple(new_receptacle[r] for r in world.things[i].also_in),
                inside=tuple(new_thing[t] for t in world.things[i].inside),
            )
            for i in things
        ),
    )


def place_in_list(name: str) -> tuple[str, int]:
    """Return the sort key of a name such as "cabinet 2" in ALFWorld's lists."""
    kind, _, number = name.rpartition(" ")
    # A basin's identifier begins with what it is part of: Sink|...|SinkBasin.
    return f"{kind.removesuffix('basin')}_", -int(number)


def _renumbered(index: int | None, new: dict[int, int]) -> int | None:
    return None if index is None else new[index]
