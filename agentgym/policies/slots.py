"""Which conversation holds which slot of the cache, and what of it is cached."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from heapq import heappop, heappush

from agentgym.policies.kv_cache import SlotCache


@dataclass(slots=True, eq=False)
class Lane:
    """One conversation: the slot it holds, if any, and how many of its tokens are cached there."""

    name: str
    slot: int | None = None
    cached: int = 0
    opening: tuple[int, ...] = ()
    """The first tokens, which conversations that begin alike may copy from the slot."""


class SlotTable:
    """Hands slots to conversations. When all are taken, the one idle for longest loses its own.

    A lane with a slot is either idle or in use; only idle ones can lose it.
    """

    def __init__(self, cache: SlotCache) -> None:
        self.evictions = 0
        self._cache = cache
        self._free = list(range(cache.max_slots))  # a heap: low slots first keeps the used ones together
        self._idle: OrderedDict[Lane, None] = OrderedDict()
        self._openings: dict[tuple[int, ...], Lane] = {}

    def use(self, lane: Lane) -> bool:
        """Give the lane a slot, unless it holds one, and keep it safe; false where all are in use."""
        self._idle.pop(lane, None)
        if lane.slot is not None:
            return True
        if not self._free and self._idle:
            oldest, _ = self._idle.popitem(last=False)
            self.release(oldest)
            self.evictions += 1
        if not self._free:
            return False
        lane.slot = heappop(self._free)
        return True

    def rest(self, lane: Lane) -> None:
        """Mark the lane as idle."""
        if lane.slot is not None:
            self._idle[lane] = None

    def release(self, lane: Lane) -> None:
        """Give the lane's slot back."""
        self._idle.pop(lane, None)
        if lane.slot is not None:
            heappush(self._free, lane.slot)
        self.keep(lane, 0)
        lane.slot = None

    def keep(self, lane: Lane, length: int) -> None:
        """Cut what is cached of a conversation to its first `length` tokens; the others have changed."""
        lane.cached = min(lane.cached, length)
        if lane.cached < len(lane.opening):
            del self._openings[lane.opening]
            lane.opening = ()

    def forget_idle(self) -> None:
        """Drop what is cached of every idle lane."""
        for lane in self._idle:
            self.keep(lane, 0)

    def computing(self, lane: Lane, opening: tuple[int, ...]) -> bool:
        """Whether another lane is just computing the `opening` of this one, which has nothing cached."""
        other = self._openings.get(opening)
        return other is not None and other is not lane and other.cached < len(opening)

    def share(self, lane: Lane, opening: tuple[int, ...]) -> None:
        """Copy the `opening` from a lane that began with the same tokens, or offer it to others.

        The rollouts of a group all begin alike, so their first prompt is computed once.
        """
        if not opening or lane.slot is None:
            return
        other = self._openings.get(opening)
        if other is None:
            lane.opening = opening
            self._openings[opening] = lane
        elif other.slot is not None:
            self._cache.reserve(lane.slot + 1, len(opening))
            self._cache.copy(other.slot, lane.slot, len(opening))
            lane.cached = len(opening)
