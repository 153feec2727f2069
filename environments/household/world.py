"""One household game as data: what stands where, what can be done with it, what is asked for."""

from __future__ import annotations

from dataclasses import dataclass
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
    inside: int | None = None
    """Index of the thing that holds it, when it lies in a bowl or box. Nothing goes in or out of these."""
    also_in: tuple[int, ...] = ()
    """Further receptacles it is in at once. ALFWorld's own games have such things, so they can be told."""
    location: int | None = None
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
