"""All that changes during a game, as a few integers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentgym.core.errors import UsageError
from agentgym.environments.household.goals import GoalTest
from agentgym.environments.household.tables import Tables, mask
from agentgym.environments.household.world import TaskType, World


class GameState:
    """A state. Masks are over things, `opened` is over receptacles.

    `contents[r]` is what is in receptacle r; `reach[l]` what a knife reaches at location l, behind doors
    too; `taken[r]` what was taken from r and not put back, where that can still show (see
    `Tables.remembers`). `held` is -1 for an empty hand.
    """

    __slots__ = (
        "clean", "contents", "cool", "held", "hot", "location", "opened", "reach", "sliced", "taken", "toggled",
    )  # fmt: skip

    def __init__(
        self, scalars: Iterable[int], contents: list[int], reach: list[int], taken: list[int]
    ) -> None:
        self.location, self.held, self.opened, *properties = scalars
        self.clean, self.hot, self.cool, self.sliced, self.toggled = properties
        self.contents = contents
        self.reach = reach
        self.taken = taken

    def scalars(self) -> tuple[int, ...]:
        """Return all but the lists, in the order that the constructor takes."""
        return (
            self.location, self.held, self.opened, self.clean, self.hot, self.cool, self.sliced, self.toggled,
        )  # fmt: skip

    def copy(self) -> GameState:
        """Return an independent copy."""
        return GameState(self.scalars(), self.contents[:], self.reach[:], self.taken[:])


class StatePacker:
    """Turns the states of one world into bytes and back."""

    def __init__(self, tables: Tables) -> None:
        self._receptacles = len(tables.location_of)
        self._locations = len(tables.locations)
        bits = max(len(tables.inside), self._receptacles, self._locations.bit_length(), 8)
        self._width = bits // 8 + 1

    def pack(self, state: GameState) -> bytes:
        """Return a state as bytes."""
        width = self._width
        location, held, *masks = state.scalars()
        numbers = [location, held + 1, *masks, *state.contents, *state.reach, *state.taken]
        return b"".join([number.to_bytes(width, "little") for number in numbers])

    def unpack(self, packed: bytes) -> GameState:
        """Return the state that was packed; raises `UsageError` when the length is wrong."""
        width = self._width
        contents = len(GameState.__slots__) - 3
        reach = contents + self._receptacles
        taken = reach + self._locations
        size = (taken + self._receptacles) * width
        if len(packed) != size:
            raise UsageError(
                f"A saved household state has {size} bytes here, got {len(packed)}; save it again."
            )
        numbers = [int.from_bytes(packed[i : i + width], "little") for i in range(0, size, width)]
        numbers[1] -= 1
        return GameState(numbers[:contents], numbers[contents:reach], numbers[reach:taken], numbers[taken:])


def initial_state(world: World, tables: Tables) -> GameState:
    """Return the state in which a game begins."""
    contents = [0] * len(world.receptacles)
    reach = [0] * len(tables.locations)
    for i, thing in enumerate(world.things):
        places = thing.also_in if thing.receptacle is None else (thing.receptacle, *thing.also_in)
        for receptacle in places:
            contents[receptacle] |= 1 << i
        if thing.locations is not None:
            for location in thing.locations:
                if location in tables.locations:  # elsewhere is out of reach for ever
                    reach[tables.locations.index(location)] |= 1 << i
        elif thing.receptacle is not None:
            reach[tables.location_of[thing.receptacle]] |= 1 << i
    properties: Sequence[int] = [
        mask(i for i, thing in enumerate(world.things) if getattr(thing, name))
        for name in ("clean", "hot", "cool", "sliced", "toggled")
    ]
    opened = mask(i for i, receptacle in enumerate(world.receptacles) if receptacle.opened)
    return GameState((tables.start, -1, opened, *properties), contents, reach, [0] * len(world.receptacles))


class KeyMasks:
    """Which bits of a state can still show in a text, in the commands or in the goal."""

    def __init__(self, world: World, tables: Tables, goal: GoalTest) -> None:
        kind = world.goal.task_type
        # Only what is in hand is described, and of a thing that holds others only what it holds.
        inside = mask(
            i for i, thing in enumerate(world.things) if thing.also_in or thing.receptacle is not None
        )
        told = inside & tables.pickupable & ~tables.holds_others
        self._clean = told | (goal.objects if kind is TaskType.CLEAN else 0)
        self._hot = told | (goal.objects if kind is TaskType.HEAT else 0)
        self._cool = told | (goal.objects if kind is TaskType.COOL else 0)
        self._sliced = told | (goal.objects if world.goal.sliced else 0)
        self._toggled = told | goal.lamps
        self._sliceable = tables.sliceable if tables.knives & tables.pickupable else 0
        self._shared = [(place, here) for place, here in enumerate(tables.standing) if len(here) > 1]

    def reduce(self, state: GameState) -> GameState:
        """Return the state with everything that can never matter set to zero."""
        location, held, opened, clean, hot, cool, sliced, toggled = state.scalars()
        scalars = (
            location, held, opened, clean & self._clean, hot & self._hot, cool & self._cool,
            sliced & self._sliced, toggled & self._toggled,
        )  # fmt: skip
        reach = [there & self._sliceable for there in state.reach]
        for place, here in self._shared:  # what was taken from one receptacle and lies in another shows
            for receptacle in here:
                reach[place] |= state.reach[place] & state.taken[receptacle]
        return GameState(scalars, state.contents, reach, state.taken)
