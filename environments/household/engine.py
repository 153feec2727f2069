"""The household game: ALFWorld's text engine, move for move and word for word, at full speed.

All that changes is a few integers (sets are bit masks), so a state is copied, saved and keyed in
microseconds. Sentences and command lists are made once for each situation and kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property

from agentgym.core.errors import UsageError
from agentgym.environments.household import text
from agentgym.environments.household.admissible import AdmissibleCommands
from agentgym.environments.household.goals import GoalTest
from agentgym.environments.household.grammar import Command, CommandParser, Verb
from agentgym.environments.household.state import KeyMasks, StatePacker, initial_state
from agentgym.environments.household.tables import Tables, members
from agentgym.environments.household.world import World

_MOST_SAVED_VIEWS = 4096


class Engine:
    """Plays one world. `state` may be read at any time; only `step`, `reset` and `load` change it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tables = tables = Tables(world)
        self.goal = GoalTest(world, tables)
        self._parser = CommandParser(world, tables)
        self._admissible = AdmissibleCommands(world, tables)
        self._packer = StatePacker(tables)
        self._initial = initial_state(world, tables)
        self._opening = self._first_text()
        self._views: dict[tuple[int, int], str] = {}
        self._handlers: dict[Verb, Callable[[int, int], str | None]] = {
            Verb.GO: self._go,
            Verb.OPEN: self._open,
            Verb.CLOSE: self._close,
            Verb.TAKE: self._take,
            Verb.MOVE: self._move,
            Verb.CLEAN: self._clean,
            Verb.HEAT: self._heat,
            Verb.COOL: self._cool,
            Verb.SLICE: self._slice,
            Verb.USE: self._use,
            Verb.EXAMINE_RECEPTACLE: self._examine_receptacle,
            Verb.EXAMINE_THING: self._examine_thing,
            Verb.LOOK: self._look,
            Verb.INVENTORY: self._inventory,
            Verb.HELP: self._help,
        }
        self.state = self._initial.copy()
        self.won = self.goal.won(self.state)
        """Whether the goal holds in the present state."""

    # --- playing ------------------------------------------------------------------------------------

    def reset(self) -> str:
        """Go back to the beginning and return the opening text."""
        self.state = self._initial.copy()
        self.won = self.goal.won(self.state)
        return self._opening

    def step(self, command: str) -> tuple[str, bool]:
        """Do a command. Return the feedback, and whether the command did anything."""
        parsed = self._parser.known.get(command) or self._parser.parse(command)
        if parsed is not None:
            feedback = self._handlers[parsed.verb](parsed.first, parsed.second)
            if feedback is not None:
                return feedback, True
        return text.NOTHING_HAPPENS, False

    def admissible(self) -> list[str]:
        """Return every command that would do something now, sorted, as ALFWorld lists them."""
        return list(self._admissible.commands(self.state))

    def progress(self) -> float:
        """Return the fraction of the goal's conditions that are met, 1.0 when won."""
        return self.goal.progress(self.state)

    def parse(self, command: str) -> Command | None:
        """Return what a command means in this world, or None where it could never do anything."""
        return self._parser.parse(command)

    # --- where things are ---------------------------------------------------------------------------

    @property
    def location(self) -> int:
        """The agent's location, in the world's own numbers."""
        return self.tables.locations[self.state.location]

    @property
    def held(self) -> int | None:
        """Index of the thing in the agent's hand."""
        return self.state.held if self.state.held >= 0 else None

    def where(self, thing: int) -> int | None:
        """Return the receptacle that a thing is in; None when it is in hand or nowhere."""
        if thing == self.state.held:
            return None
        bit = 1 << thing
        return next((r for r, inside in enumerate(self.state.contents) if inside & bit), None)

    def contents(self, receptacle: int) -> list[int]:
        """Return the things in a receptacle, open or not."""
        return members(self.state.contents[receptacle])

    def is_open(self, receptacle: int) -> bool:
        """Whether a receptacle's contents can be seen and reached: it is open, or cannot be closed."""
        return bool((self.state.opened | ~self.tables.openable) >> receptacle & 1)

    # --- saving -------------------------------------------------------------------------------------

    @cached_property
    def fingerprint(self) -> bytes:
        """Eight bytes that differ between worlds."""
        return hashlib.blake2b(_canonical(self.world).encode(), digest_size=8).digest()

    def save(self) -> bytes:
        """Return the state as bytes, for `load` on an engine of the same world."""
        return self.fingerprint + self._packer.pack(self.state)

    def load(self, saved: bytes) -> None:
        """Go back to a saved state; raises `UsageError` when it is damaged or of another world."""
        if saved[:8] != self.fingerprint:
            raise UsageError(
                "This snapshot was made in another household game; restore it where it was made."
            )
        self.state = self._packer.unpack(saved[8:])
        self.won = self.goal.won(self.state)

    def state_key(self) -> str:
        """Return 32 hex digits, equal exactly when everything that can matter later is equal.

        What cannot matter is left out: what was looked at, and properties that neither a text nor the
        goal can ever show (whether a bowl is clean, unless a clean bowl is asked for).
        """
        packed = self._packer.pack(self._key_masks.reduce(self.state))
        return hashlib.blake2b(packed, digest_size=16, key=self.fingerprint).hexdigest()

    @cached_property
    def _key_masks(self) -> KeyMasks:
        return KeyMasks(self.world, self.tables, self.goal)

    # --- commands: each returns its feedback, or None where it cannot be done now ---------------------

    def _go(self, receptacle: int, _: int) -> str | None:
        state = self.state
        target = self.tables.location_of[receptacle]
        if target == state.location:
            return None
        state.location = target
        self._settle()
        return f"You arrive at {self._receptacle_name(receptacle)}. {self._view(receptacle)}"

    def _open(self, receptacle: int, _: int) -> str | None:
        bit = 1 << receptacle
        if not self._at(receptacle) or not bit & self.tables.openable & ~self.state.opened:
            return None
        self.state.opened |= bit
        return f"You open the {self._receptacle_name(receptacle)}. {self._view(receptacle)}"

    def _close(self, receptacle: int, _: int) -> str | None:
        bit = 1 << receptacle
        if not self._at(receptacle) or not bit & self.tables.openable & self.state.opened:
            return None
        self.state.opened ^= bit
        return f"You close the {self._receptacle_name(receptacle)}."

    def _take(self, thing: int, receptacle: int) -> str | None:
        state = self.state
        bit = 1 << thing
        if state.held >= 0 or not state.contents[receptacle] & bit or not self._reaches(receptacle):
            return None
        state.contents[receptacle] ^= bit
        state.reach[state.location] &= ~bit
        state.taken[receptacle] |= bit & self.tables.remembers[receptacle]
        state.held = thing
        self._settle()
        return f"You pick up the {self._thing_name(thing)} from the {self._receptacle_name(receptacle)}."

    def _move(self, thing: int, receptacle: int) -> str | None:
        state = self.state
        if state.held != thing or not self._reaches(receptacle):
            return None
        bit = 1 << thing
        state.contents[receptacle] |= bit
        state.reach[state.location] |= bit
        state.taken[receptacle] &= ~bit
        state.held = -1
        self._settle()
        return f"You move the {self._thing_name(thing)} to the {self._receptacle_name(receptacle)}."

    def _clean(self, thing: int, receptacle: int) -> str | None:
        if self.state.held != thing or not self._at(receptacle):
            return None
        self.state.clean |= 1 << thing
        return self._treated("clean", thing, receptacle)

    def _heat(self, thing: int, receptacle: int) -> str | None:
        if self.state.held != thing or not self._at(receptacle):
            return None
        self.state.hot |= 1 << thing
        self.state.cool &= ~(1 << thing)
        return self._treated("heat", thing, receptacle)

    def _cool(self, thing: int, receptacle: int) -> str | None:
        if self.state.held != thing or not self._at(receptacle):
            return None
        self.state.cool |= 1 << thing
        self.state.hot &= ~(1 << thing)
        return self._treated("cool", thing, receptacle)

    def _treated(self, verb: str, thing: int, receptacle: int) -> str:
        self._settle()
        return f"You {verb} the {self._thing_name(thing)} using the {self._receptacle_name(receptacle)}."

    def _slice(self, thing: int, knife: int) -> str | None:
        state = self.state
        if state.held != knife or not state.reach[state.location] >> thing & 1:
            return None
        state.sliced |= 1 << thing
        self._settle()
        return f"You sliced the {self._thing_name(thing)} with the {self._thing_name(knife)}."

    def _use(self, thing: int, _: int) -> str | None:
        state = self.state
        bit = 1 << thing
        # A lamp behind a closed door can be switched on; using one again leaves it on.
        if not any(state.contents[r] & bit for r in self.tables.standing[state.location]):
            return None
        state.toggled |= bit
        self._settle()
        return f"You turn on the {self._thing_name(thing)}."

    def _examine_receptacle(self, receptacle: int, _: int) -> str | None:
        return self._view(receptacle) if self._at(receptacle) else None

    def _examine_thing(self, thing: int, _: int) -> str | None:
        state, tables = self.state, self.tables
        if state.held != thing:
            return None
        bit = 1 << thing
        name = self._thing_name(thing)
        if tables.holds_others & bit:
            return text.describe_holder(name, self._thing_names(tables.inside[thing]))
        return text.describe_thing(
            name,
            clean=bool(state.clean & bit),
            hot=bool(state.hot & bit),
            cool=bool(state.cool & bit),
            sliced=bool(state.sliced & bit),
            on=bool(state.toggled & tables.toggleable & bit),
        )

    def _look(self, _: int, __: int) -> str:
        state = self.state
        here = self.tables.standing[state.location]
        if not here:
            return text.room([])
        reach = state.reach[state.location]
        left = [(thing, r) for r in here for thing in members(reach & state.taken[r])]
        beside = [self._thing_name(thing) for thing, _ in sorted(left)]
        return text.facing([self._receptacle_name(r) for r in here], beside)

    def _inventory(self, _: int, __: int) -> str:
        if self.state.held < 0:
            return "You are not carrying anything."
        return f"You are carrying: a {self._thing_name(self.state.held)}."

    def _help(self, _: int, __: int) -> str:
        return text.HELP

    # --- helpers ------------------------------------------------------------------------------------

    def _settle(self) -> None:
        self.won = self.goal.won(self.state)

    def _at(self, receptacle: int) -> bool:
        return self.tables.location_of[receptacle] == self.state.location

    def _reaches(self, receptacle: int) -> bool:
        if self.tables.location_of[receptacle] != self.state.location:
            return False
        return bool((self.state.opened | ~self.tables.openable) >> receptacle & 1)

    def _view(self, receptacle: int) -> str:
        state = self.state
        openable = bool(self.tables.openable >> receptacle & 1)
        opened = bool(state.opened >> receptacle & 1)
        inside = -1 if openable and not opened else state.contents[receptacle]
        view = self._views.get((receptacle, inside))
        if view is None:
            names = self._thing_names(inside) if inside >= 0 else []
            view = text.describe_receptacle(self._receptacle_name(receptacle), openable, opened, names)
            if len(self._views) >= _MOST_SAVED_VIEWS:
                self._views.clear()
            self._views[receptacle, inside] = view
        return view

    def _first_text(self) -> str:
        here = self.tables.standing[self._initial.location]
        receptacles = [r.name for r in self.world.receptacles]
        view = text.facing([receptacles[r] for r in here], []) if here else text.room(receptacles)
        return text.opening(view, self.world.instruction)

    def _receptacle_name(self, receptacle: int) -> str:
        return self.world.receptacles[receptacle].name

    def _thing_name(self, thing: int) -> str:
        return self.world.things[thing].name

    def _thing_names(self, things: int) -> list[str]:
        return [self.world.things[thing].name for thing in members(things)]


def _canonical(world: World) -> str:
    """Return a text equal exactly for equal worlds; sets have no order of their own."""
    return repr(
        (
            world.receptacles,
            world.things,
            sorted(world.can_contain),
            world.goal,
            world.instruction,
            world.start_location,
        )
    )
