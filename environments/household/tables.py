"""What never changes during a game, laid out for speed. Sets of things and receptacles are bit masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agentgym.core.errors import UsageError
from agentgym.environments.household.world import Thing, World

CLEANER = "SinkBasin"
HEATER = "Microwave"
COOLER = "Fridge"


class Tables:
    """Indices and masks of one world. Bit i of a thing mask is `world.things[i]`; likewise receptacles.

    Locations are renumbered from 0; `start` is the agent's at the beginning. Raises `UsageError` when two
    names are equal or a thing lies in a receptacle that does not exist.
    """

    def __init__(self, world: World) -> None:
        receptacles, things = world.receptacles, world.things
        self.receptacle_index = {r.name: i for i, r in enumerate(receptacles)}
        self.thing_index = {t.name: i for i, t in enumerate(things)}
        _check(world, self.receptacle_index.keys() | self.thing_index.keys())

        places = dict.fromkeys([*(r.location for r in receptacles), world.start_location])
        index = {place: i for i, place in enumerate(places)}
        self.locations = tuple(places)
        """The world's own number of each location."""
        self.start = index[world.start_location]
        self.location_of = [index[r.location] for r in receptacles]
        self.standing: list[tuple[int, ...]] = [
            tuple(r for r, location in enumerate(self.location_of) if location == place)
            for place in range(len(places))
        ]
        """The receptacles at each location, in the order of the text."""
        self.openable = mask(i for i, r in enumerate(receptacles) if r.openable)
        self.doors = [mask(here) & self.openable for here in self.standing]

        self.pickupable = _where(things, lambda t: t.pickupable)
        self.cleanable = _where(things, lambda t: t.cleanable)
        self.heatable = _where(things, lambda t: t.heatable)
        self.coolable = _where(things, lambda t: t.coolable)
        self.sliceable = _where(things, lambda t: t.sliceable)
        self.toggleable = _where(things, lambda t: t.toggleable)
        self.holds_others = _where(things, lambda t: t.holds_others)
        self.knives = _where(things, lambda t: t.slices)
        self.inside: list[int] = [0] * len(things)
        """The things that lie in each thing that holds others; these never move."""
        for i, thing in enumerate(things):
            for holder in thing.inside:
                if holder != i:  # ALFWorld's text never shows a thing in itself
                    self.inside[holder] |= 1 << i

        by_type: dict[str, int] = {}
        for i, thing in enumerate(things):
            by_type[thing.otype] = by_type.get(thing.otype, 0) | 1 << i
        self.of_type = by_type
        fitting: dict[str, int] = {}
        for rtype, otype in world.can_contain:
            fitting[rtype] = fitting.get(rtype, 0) | by_type.get(otype, 0)
        self.fits = [fitting.get(r.rtype, 0) for r in receptacles]
        """The things that each receptacle may hold."""
        self.remembers = [self._remembered(r) for r in range(len(receptacles))]

    def _remembered(self, receptacle: int) -> int:
        """Things whose having been taken from this receptacle can show later.

        The text of `look` lists, beside a shared place, what was taken from one of the receptacles there
        and put into another.
        """
        neighbours = self.standing[self.location_of[receptacle]]
        fits = 0
        for other in neighbours:
            if other != receptacle:
                fits |= self.fits[other]
        return fits & self.pickupable


def mask(indices: Iterable[int]) -> int:
    """Return the bit mask of a set of indices.

    >>> mask([0, 3])
    9
    """
    bits = 0
    for index in indices:
        bits |= 1 << index
    return bits


def members(bits: int) -> list[int]:
    """Return the indices in a bit mask, ascending.

    >>> members(9)
    [0, 3]
    """
    found: list[int] = []
    while bits:
        lowest = bits & -bits
        found.append(lowest.bit_length() - 1)
        bits ^= lowest
    return found


def _where(things: tuple[Thing, ...], has: Callable[[Thing], bool]) -> int:
    return mask(i for i, thing in enumerate(things) if has(thing))


def _check(world: World, names: set[str]) -> None:
    if len(names) != len(world.receptacles) + len(world.things):
        everything = [item.name for item in (*world.receptacles, *world.things)]
        twice = sorted({name for name in everything if everything.count(name) > 1})
        raise UsageError(f"Names in a household world must differ; used more than once: {twice}.")
    for thing in world.things:
        for receptacle in (thing.receptacle, *thing.also_in):
            if receptacle is not None and not 0 <= receptacle < len(world.receptacles):
                raise UsageError(
                    f"{thing.name!r} lies in receptacle {receptacle}, but the world has "
                    f"{len(world.receptacles)} of them, counted from 0."
                )
