"""The list of everything that can be done now."""

from __future__ import annotations

from agentgym.environments.household.state import GameState
from agentgym.environments.household.tables import CLEANER, COOLER, HEATER, Tables, members
from agentgym.environments.household.world import World

_MOST_SAVED = 1024


class AdmissibleCommands:
    """Makes the sorted lists, once for each situation.

    A list depends on the agent's place, the doors, contents and reach there, and the hand: nothing else.
    """

    def __init__(self, world: World, tables: Tables) -> None:
        self._world = world
        self._tables = tables
        self._saved: dict[tuple[int, ...], tuple[str, ...]] = {}
        self._go: dict[int, list[str]] = {}
        self._treat = {"clean": (CLEANER, tables.cleanable), "cool": (COOLER, tables.coolable)}
        self._treat["heat"] = (HEATER, tables.heatable)

    def commands(self, state: GameState) -> tuple[str, ...]:
        """Return the commands that would do something in `state`, in the order of their letters."""
        location, tables = state.location, self._tables
        contents = state.contents
        slicing = state.reach[location] & tables.sliceable if state.held >= 0 else 0
        key = (
            location,
            state.opened & tables.doors[location],
            state.held,
            slicing,
            *[contents[r] for r in tables.standing[location]],
        )
        found = self._saved.get(key)
        if found is None:
            if len(self._saved) >= _MOST_SAVED:
                self._saved.clear()
            found = self._saved[key] = self._list(state, slicing)
        return found

    def _list(self, state: GameState, slicing: int) -> tuple[str, ...]:
        here = self._tables.standing[state.location]
        reachable = [r for r in here if (state.opened | ~self._tables.openable) >> r & 1]
        # Verbs sort before commands do, and "go to" is by far the longest part: it is sorted once.
        before = self._examine(state, here) + self._hand(state, here, ("clean", "cool"))
        after = ["help", "inventory", "look", *self._doors(state, here, shut=True)]
        after += self._hand(state, here, ("heat",)) + self._use(state, here)
        if state.held < 0:
            after += self._take(state, reachable)
        else:
            after += self._put(state.held, reachable) + self._slice(state.held, slicing)
        before += self._doors(state, here, shut=False)
        return (*sorted(set(before)), *self._elsewhere(state.location), *sorted(set(after)))

    def _elsewhere(self, location: int) -> list[str]:
        found = self._go.get(location)
        if found is None:
            away = [
                receptacle.name
                for receptacle, place in zip(self._world.receptacles, self._tables.location_of, strict=True)
                if place != location
            ]
            found = self._go[location] = sorted(f"go to {name}" for name in away)
        return found

    def _doors(self, state: GameState, here: tuple[int, ...], shut: bool) -> list[str]:
        verb, which = ("open", ~state.opened) if shut else ("close", state.opened)
        which &= self._tables.openable
        return [f"{verb} {self._world.receptacles[r].name}" for r in here if which >> r & 1]

    def _examine(self, state: GameState, here: tuple[int, ...]) -> list[str]:
        names = [self._world.receptacles[r].name for r in here]
        if state.held >= 0:  # ALFWorld lets nothing else be examined, whatever lies in sight
            names.append(self._world.things[state.held].name)
        return [f"examine {name}" for name in names]

    def _hand(self, state: GameState, here: tuple[int, ...], verbs: tuple[str, ...]) -> list[str]:
        commands: list[str] = []
        if state.held < 0:
            return commands
        name = self._world.things[state.held].name
        for verb in verbs:
            appliance, able = self._treat[verb]
            if able >> state.held & 1:
                places = [self._world.receptacles[r] for r in here]
                commands += [f"{verb} {name} with {r.name}" for r in places if r.rtype == appliance]
        return commands

    def _use(self, state: GameState, here: tuple[int, ...]) -> list[str]:
        usable = 0
        for receptacle in here:
            usable |= state.contents[receptacle] & self._tables.toggleable
        return [f"use {self._world.things[thing].name}" for thing in members(usable)]

    def _take(self, state: GameState, reachable: list[int]) -> list[str]:
        things, pickupable = self._world.things, self._tables.pickupable
        return [
            f"take {things[thing].name} from {self._world.receptacles[r].name}"
            for r in reachable
            for thing in members(state.contents[r] & pickupable)
        ]

    def _put(self, held: int, reachable: list[int]) -> list[str]:
        name = self._world.things[held].name
        fits = [r for r in reachable if self._tables.fits[r] >> held & 1]
        return [f"move {name} to {self._world.receptacles[r].name}" for r in fits]

    def _slice(self, held: int, slicing: int) -> list[str]:
        if not self._tables.knives >> held & 1:
            return []
        knife = self._world.things[held].name
        return [f"slice {self._world.things[thing].name} with {knife}" for thing in members(slicing)]
