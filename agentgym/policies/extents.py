"""Handing out stretches of a growing row of positions (a buddy allocator).

Sizes are powers of two and places multiples of the size. So two free halves are found and joined at once,
stretches of one size lie in a regular grid, and at most half of a stretch stays unused.

Source: K. C. Knowlton, "A fast storage allocator", Communications of the ACM 8(10), 1965.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

SMALLEST = 64
"""Positions of the smallest extent."""


class Extent(NamedTuple):
    """Positions `[start, start + size)`."""

    start: int
    size: int

    @property
    def slot(self) -> int:
        """Its number in the grid of extents of this size."""
        return self.start // self.size


def extent_size(length: int) -> int:
    """Return the size of the smallest extent with room for `length` positions.

    >>> extent_size(1), extent_size(64), extent_size(65)
    (64, 64, 128)
    """
    return max(SMALLEST, 1 << (length - 1).bit_length())


class ExtentPool:
    """The free extents among `[0, positions)`."""

    def __init__(self) -> None:
        self.positions = 0
        self._free: dict[int, set[int]] = defaultdict(set)

    def grow(self, positions: int) -> None:
        """Add the positions up to `positions`, a multiple of `SMALLEST`."""
        start, self.positions = self.positions, positions
        while start < positions:
            size = start & -start or 1 << positions.bit_length()
            while start + size > positions:
                size //= 2
            self.give(Extent(start, size))
            start += size

    def take(self, size: int) -> Extent | None:
        """Return the lowest free extent of the closest size, cut to `size`; None where there is none."""
        larger = [free for free, starts in self._free.items() if free >= size and starts]
        if not larger:
            return None
        found = min(larger)
        start = min(self._free[found])
        self._free[found].remove(start)
        while found > size:
            found //= 2
            self._free[found].add(start + found)
        return Extent(start, size)

    def give(self, extent: Extent) -> None:
        """Take an extent back and join it with its free neighbours."""
        start, size = extent
        while start ^ size in self._free[size]:
            self._free[size].remove(start ^ size)
            start, size = start & ~size, 2 * size
        self._free[size].add(start)
