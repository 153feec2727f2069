"""Which conversation holds what of the cache, and what one may take over from another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from agentgym.policies.extents import Extent
from agentgym.policies.kv_cache import KeyValueCache
from agentgym.policies.prefixes import PrefixIndex, Shared

# Computing a few tokens along with the others costs nothing.
_WORTH_SHARING = 8


@dataclass(slots=True, eq=False)
class Lane:
    """One conversation: the extent it holds, if any, and how many of its tokens are cached there."""

    name: str
    extent: Extent | None = None
    cached: int = 0


class LaneTable:
    """Gives extents to conversations and takes them back from those that are least missed.

    A lane that holds an extent is in use, at rest, or ended. For a new extent the ended lanes are given up
    first, longest ended first; then the cache grows; where it may not, the lane at rest for longest loses
    its extent and is computed anew when it goes on.
    """

    def __init__(self, cache: KeyValueCache) -> None:
        self.evictions = 0
        self.shared_tokens = 0
        self._cache = cache
        self._resting: OrderedDict[Lane, None] = OrderedDict()
        self._ended: OrderedDict[Lane, None] = OrderedDict()
        self._prefixes: PrefixIndex[Lane] = PrefixIndex()

    def use(self, lane: Lane, length: int) -> bool:
        """Give the lane room for `length` positions and keep it safe; false where others in use leave too little.

        What is cached moves along to a larger extent.
        """
        resting = lane in self._resting
        self._resting.pop(lane, None)
        if lane.extent is not None and lane.extent.size >= length:
            return True
        extent = self._find(length)
        if extent is None:
            if resting:
                self._resting[lane] = None
            return False
        if lane.extent is not None:
            self._cache.copy(lane.extent, extent, lane.cached)
            self._cache.give(lane.extent)
        lane.extent = extent
        return True

    def _find(self, length: int) -> Extent | None:
        while True:
            extent = self._cache.take(length)
            if extent is not None:
                return extent
            if self._ended:
                self.drop(next(iter(self._ended)))
            elif not self._cache.grow(length):
                if not self._resting:
                    return None
                self.drop(next(iter(self._resting)))
                self.evictions += 1

    def rest(self, lane: Lane, ids: Sequence[int]) -> None:
        """Mark the lane as not in use; its cached tokens are the first of `ids`."""
        if lane.extent is None:
            return
        self._prefixes.cut(lane, lane.cached)
        self._prefixes.extend(lane, ids, lane.cached)
        self._resting[lane] = None
        self._resting.move_to_end(lane)

    def end(self, lane: Lane) -> None:
        """Mark the lane as ended: what it holds is others' as soon as they need it."""
        self._resting.pop(lane, None)
        if lane.extent is not None:
            self._ended[lane] = None

    def drop(self, lane: Lane) -> None:
        """Take the lane's extent from it."""
        self._resting.pop(lane, None)
        self._ended.pop(lane, None)
        self._prefixes.remove(lane)
        lane.cached = 0
        if lane.extent is not None:
            self._cache.give(lane.extent)
            lane.extent = None

    def keep(self, lane: Lane, length: int) -> None:
        """Cut what is cached of a conversation to its first `length` tokens; the others have changed."""
        lane.cached = min(lane.cached, length)
        self._prefixes.cut(lane, lane.cached)

    def forget_all(self) -> None:
        """Drop what is cached of every lane that is not in use: other weights made it."""
        for lane in (*self._ended, *self._resting):
            self.drop(lane)

    def announce(self, lane: Lane, ids: Sequence[int]) -> None:
        """Tell the others that this lane in use is computing `ids`."""
        self._prefixes.extend(lane, ids, len(ids))

    def awaited(self, lane: Lane, ids: Sequence[int]) -> bool:
        """Whether a lane in use is just computing more of the beginning of `ids` than any has cached."""
        found = self._better(lane, ids)
        return found is not None and found.owner.cached + _WORTH_SHARING < found.length

    def share(self, lane: Lane, ids: Sequence[int]) -> None:
        """Copy the longest beginning of `ids` that some lane has cached, where this one has less.

        The rollouts of a group all begin alike, so their common prompt is computed once; and what goes on
        from a recorded conversation finds its tokens wherever that one left them.
        """
        found = self._better(lane, ids)
        if found is None or lane.extent is None or found.owner.extent is None:
            return
        length = min(found.length, found.owner.cached)
        if length > lane.cached:
            self._cache.copy(found.owner.extent, lane.extent, length)
            self.shared_tokens += length - lane.cached
            lane.cached = length

    def _better(self, lane: Lane, ids: Sequence[int]) -> Shared[Lane] | None:
        """Return a lane that has cached, or is computing, worth more of `ids` than this one has."""
        most = len(ids) - 1  # one token is computed, so that there is something to sample from
        if most - lane.cached < _WORTH_SHARING:
            return None
        found = self._prefixes.longest(ids)
        if found is None or found.owner is lane or min(found.length, most) - lane.cached < _WORTH_SHARING:
            return None
        for lanes in (self._ended, self._resting):
            if found.owner in lanes:
                lanes.move_to_end(found.owner)
        return Shared(found.owner, min(found.length, most))
