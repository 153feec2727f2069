"""The expert of the household world: the next command of a shortest plan, from any state.

It knows where everything is. Any receptacle is one command away from any other, so a plan is a fixed
sequence of errands (free the hand, fetch, treat, put down) and only the choice of things and places is
searched: every choice is drafted, the shortest draft wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from agentgym.environments.household.engine import Engine
from agentgym.environments.household.tables import CLEANER, COOLER, HEATER, members
from agentgym.environments.household.world import TaskType

_TREATMENTS: dict[TaskType, tuple[str, str]] = {
    TaskType.CLEAN: ("clean", CLEANER),
    TaskType.HEAT: ("heat", HEATER),
    TaskType.COOL: ("cool", COOLER),
}
"""The command and the receptacle class that do what a kind of task asks for."""


def plan(engine: Engine) -> list[str]:
    """Return the commands of a shortest plan to win from the present state; empty when won or hopeless."""
    if engine.won:
        return []
    return min((draft.commands for draft in _drafts(engine) if draft.possible), key=len, default=list[str]())


def next_command(engine: Engine) -> str | None:
    """Return the first command of `plan`, or None when the game is won or cannot be won any more."""
    commands = plan(engine)
    return commands[0] if commands else None


class _Draft:
    """A plan being written, with the state it would lead to. `possible` turns false at a dead end."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tables = engine.tables
        self._location = engine.state.location
        self._opened = engine.state.opened
        self._held = engine.state.held
        self._moved: dict[int, int] = {}
        self.commands: list[str] = []
        self.possible = True

    def slice(self, thing: int, knife: int) -> None:
        """Cut a thing where it lies, the knife in hand."""
        if self._engine.state.sliced >> thing & 1:
            return
        self.fetch(knife)
        lies_in = self._lies_in(thing)
        if self.possible and lies_in is not None:
            self.go(lies_in)
            self._say(f"slice {self._thing(thing)} with {self._thing(knife)}")

    def fetch(self, thing: int) -> None:
        """Take a thing in hand; what is in hand is put down first."""
        if self._held == thing:
            return
        lies_in = self._lies_in(thing)
        if lies_in is None or not self._tables.pickupable >> thing & 1:
            self.possible = False
            return
        if self._held >= 0:
            self._free_hand(before=lies_in)
        self._reach(lies_in)
        self._say(f"take {self._thing(thing)} from {self._receptacle(lies_in)}")
        self._held = thing

    def treat(self, verb: str, thing: int, appliance: int) -> None:
        """Clean, heat or cool the thing in hand."""
        self.go(appliance)
        self._say(f"{verb} {self._thing(thing)} with {self._receptacle(appliance)}")

    def put(self, thing: int, receptacle: int) -> None:
        """Put the thing in hand down."""
        if not self._tables.fits[receptacle] >> thing & 1:
            self.possible = False
            return
        self._reach(receptacle)
        self._say(f"move {self._thing(thing)} to {self._receptacle(receptacle)}")
        self._held = -1
        self._moved[thing] = receptacle

    def use(self, lamp: int) -> None:
        """Stand at a lamp that is on."""
        lies_in = self._lies_in(lamp)
        if lies_in is None:
            self.possible = False
            return
        self.go(lies_in)
        if not self._engine.state.toggled >> lamp & 1:
            self._say(f"use {self._thing(lamp)}")

    def go(self, receptacle: int) -> None:
        """Stand at a receptacle."""
        if self._tables.location_of[receptacle] != self._location:
            self._location = self._tables.location_of[receptacle]
            self._say(f"go to {self._receptacle(receptacle)}")

    def is_in(self, thing: int, receptacle: int) -> bool:
        """Whether a thing is in a receptacle by now."""
        return thing != self._held and self._lies_in(thing) == receptacle

    def _reach(self, receptacle: int) -> None:
        self.go(receptacle)
        if self._is_shut(receptacle):
            self._opened |= 1 << receptacle
            self._say(f"open {self._receptacle(receptacle)}")

    def _free_hand(self, before: int) -> None:
        """Put down what is in hand where it costs least, given that `before` is reached next."""
        fits, here = self._tables.fits, self._location
        spots = [r for r in range(len(fits)) if fits[r] >> self._held & 1]
        if not spots:
            self.possible = False
            return

        def detour(receptacle: int) -> int:
            place = self._tables.location_of[receptacle]
            on_the_way = place in (here, self._tables.location_of[before])
            return (not on_the_way) + (self._is_shut(receptacle) and receptacle != before)

        self.put(self._held, min(spots, key=detour))

    def _is_shut(self, receptacle: int) -> bool:
        return bool(self._tables.openable & ~self._opened & 1 << receptacle)

    def _lies_in(self, thing: int) -> int | None:
        return self._moved[thing] if thing in self._moved else self._engine.where(thing)

    def _say(self, command: str) -> None:
        self.commands.append(command)

    def _thing(self, thing: int) -> str:
        return self._engine.world.things[thing].name

    def _receptacle(self, receptacle: int) -> str:
        return self._engine.world.receptacles[receptacle].name


def _drafts(engine: Engine) -> Iterator[_Draft]:
    """Draft a plan for every choice of things and places that could matter."""
    goal, tables = engine.world.goal, engine.tables
    things = members(engine.goal.objects & tables.pickupable)
    knives = members(tables.knives & tables.pickupable) if goal.sliced else [-1]
    for knife in knives:
        if goal.task_type is TaskType.LOOK:
            for thing in things:
                for lamp in members(engine.goal.lamps):
                    yield _look(engine, thing, lamp, knife)
        elif goal.task_type is TaskType.PLACE_TWO:
            for receptacle in _distinct_places(engine, things, []):
                for both in permutations(things, 2):
                    yield _place_two(engine, both, receptacle, knife)
        else:
            verb, appliance_type = _TREATMENTS.get(goal.task_type, ("", ""))
            appliances = [i for i, r in enumerate(engine.world.receptacles) if r.rtype == appliance_type] or [
                -1
            ]
            for receptacle in _distinct_places(engine, things, appliances):
                for thing in things:
                    for appliance in appliances:
                        yield _place(engine, thing, receptacle, verb, appliance, knife)


def _look(engine: Engine, thing: int, lamp: int, knife: int) -> _Draft:
    draft = _Draft(engine)
    if knife >= 0:
        draft.slice(thing, knife)
    draft.fetch(thing)
    draft.use(lamp)
    return draft


def _place_two(engine: Engine, both: tuple[int, ...], receptacle: int, knife: int) -> _Draft:
    draft = _Draft(engine)
    for thing in both:
        if knife >= 0:
            draft.slice(thing, knife)
    for thing in both:
        if not draft.is_in(thing, receptacle):
            draft.fetch(thing)
            draft.put(thing, receptacle)
    return draft


def _place(engine: Engine, thing: int, receptacle: int, verb: str, appliance: int, knife: int) -> _Draft:
    draft = _Draft(engine)
    if knife >= 0:
        draft.slice(thing, knife)
    if verb and not _is_treated(engine, verb, thing):
        if appliance < 0:
            draft.possible = False
            return draft
        draft.fetch(thing)
        draft.treat(verb, thing, appliance)
    if not draft.is_in(thing, receptacle):
        draft.fetch(thing)
        draft.put(thing, receptacle)
    return draft


def _is_treated(engine: Engine, verb: str, thing: int) -> bool:
    state = engine.state
    return bool({"clean": state.clean, "heat": state.hot, "cool": state.cool}[verb] >> thing & 1)


def _distinct_places(engine: Engine, things: list[int], appliances: list[int]) -> list[int]:
    """Return the receptacles of the goal's class, one of each set that plans cannot tell apart.

    Ten closed cabinets, none of them where the plan has business otherwise, are as good as one.
    """
    state, tables = engine.state, engine.tables
    wanted = sum(1 << thing for thing in things)
    lie_in = [r for thing in things if (r := engine.where(thing)) is not None]
    visited = {state.location, *(tables.location_of[r] for r in (*lie_in, *appliances) if r >= 0)}
    distinct: dict[tuple[int, bool, int], int] = {}
    for receptacle in engine.goal.receptacles:
        location = tables.location_of[receptacle]
        kind = (
            location if location in visited else -1,
            engine.is_open(receptacle),
            state.contents[receptacle] & wanted,
        )
        distinct.setdefault(kind, receptacle)
    return list(distinct.values())
