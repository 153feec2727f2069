"""From a command to what it means in one world. The spelling must be exact, as in ALFWorld."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from agentgym.environments.household.tables import CLEANER, COOLER, HEATER, Tables
from agentgym.environments.household.world import World


class Verb(IntEnum):
    """What a command does. `first` and `second` of a `Command` are what it is done to."""

    GO = 1
    """first: receptacle."""
    OPEN = 2
    """first: receptacle."""
    CLOSE = 3
    """first: receptacle."""
    TAKE = 4
    """first: thing, second: receptacle."""
    MOVE = 5
    """first: thing, second: receptacle."""
    CLEAN = 6
    """first: thing, second: receptacle."""
    HEAT = 7
    """first: thing, second: receptacle."""
    COOL = 8
    """first: thing, second: receptacle."""
    SLICE = 9
    """first: thing, second: the knife, a thing."""
    USE = 10
    """first: thing."""
    EXAMINE_RECEPTACLE = 11
    """first: receptacle."""
    EXAMINE_THING = 12
    """first: thing."""
    LOOK = 13
    INVENTORY = 14
    HELP = 15


class Command(NamedTuple):
    """A command as indices of things and receptacles; -1 where the verb takes none."""

    verb: Verb
    first: int = -1
    second: int = -1


class CommandParser:
    """Understands the commands that could ever be done in one world, and remembers them in `known`."""

    def __init__(self, world: World, tables: Tables) -> None:
        self._world = world
        self._tables = tables
        self.known: dict[str, Command] = {
            "look": Command(Verb.LOOK),
            "inventory": Command(Verb.INVENTORY),
            "help": Command(Verb.HELP),
        }

    def parse(self, command: str) -> Command | None:
        """Return the meaning of a command; None for one that no state of the world would accept.

        Blanks before and after it do not matter, upper case and blanks within do.
        """
        stripped = command.strip()
        parsed = self.known.get(stripped)
        if parsed is None:
            parsed = self._understand(stripped)
            if parsed is not None:
                self.known[stripped] = parsed
        return parsed

    def _understand(self, command: str) -> Command | None:
        verb, _, rest = command.partition(" ")
        match verb:
            case "go":
                place, _, name = rest.partition(" ")
                return self._with_receptacle(Verb.GO, name) if place == "to" else None
            case "open":
                return self._with_receptacle(Verb.OPEN, rest)
            case "close":
                return self._with_receptacle(Verb.CLOSE, rest)
            case "take":
                return self._placed(Verb.TAKE, rest, " from ")
            case "move":
                return self._placed(Verb.MOVE, rest, " to ")
            case "clean":
                return self._treated(Verb.CLEAN, rest, CLEANER, self._tables.cleanable)
            case "heat":
                return self._treated(Verb.HEAT, rest, HEATER, self._tables.heatable)
            case "cool":
                return self._treated(Verb.COOL, rest, COOLER, self._tables.coolable)
            case "slice":
                return self._sliced(rest)
            case "use":
                return self._of_thing(Verb.USE, rest, self._tables.toggleable)
            case "examine":
                return self._with_receptacle(Verb.EXAMINE_RECEPTACLE, rest) or self._of_thing(
                    Verb.EXAMINE_THING, rest, -1
                )
            case _:
                return None

    def _with_receptacle(self, verb: Verb, name: str) -> Command | None:
        receptacle = self._tables.receptacle_index.get(name)
        return None if receptacle is None else Command(verb, receptacle)

    def _of_thing(self, verb: Verb, name: str, allowed: int) -> Command | None:
        thing = self._tables.thing_index.get(name)
        return None if thing is None or not allowed >> thing & 1 else Command(verb, thing)

    def _pair(self, rest: str, between: str) -> tuple[int, int] | None:
        name, _, place = rest.partition(between)
        thing = self._tables.thing_index.get(name)
        receptacle = self._tables.receptacle_index.get(place)
        return None if thing is None or receptacle is None else (thing, receptacle)

    def _placed(self, verb: Verb, rest: str, between: str) -> Command | None:
        pair = self._pair(rest, between)
        if pair is None:
            return None
        allowed = self._tables.pickupable if verb is Verb.TAKE else self._tables.fits[pair[1]]
        return Command(verb, *pair) if allowed >> pair[0] & 1 else None

    def _treated(self, verb: Verb, rest: str, appliance: str, allowed: int) -> Command | None:
        pair = self._pair(rest, " with ")
        if pair is None or self._world.receptacles[pair[1]].rtype != appliance:
            return None
        return Command(verb, *pair) if allowed >> pair[0] & 1 else None

    def _sliced(self, rest: str) -> Command | None:
        name, _, tool = rest.partition(" with ")
        thing = self._tables.thing_index.get(name)
        knife = self._tables.thing_index.get(tool)
        if thing is None or knife is None:
            return None
        possible = self._tables.sliceable >> thing & self._tables.knives >> knife & 1
        return Command(Verb.SLICE, thing, knife) if possible else None
