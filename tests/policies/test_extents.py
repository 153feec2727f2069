from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agentgym.policies.extents import SMALLEST, Extent, ExtentPool, extent_size


@given(st.integers(1, 100_000))
def test_an_extent_has_room_and_is_at_most_half_empty(length: int) -> None:
    size = extent_size(length)
    assert size >= length
    assert size == SMALLEST or size < 2 * length


@given(st.lists(st.integers(1, 1000), max_size=6), st.data())
def test_extents_never_overlap_and_come_back_whole(growths: list[int], data: st.DataObject) -> None:
    pool = ExtentPool()
    taken: list[Extent] = []
    for growth in growths:
        pool.grow(pool.positions + growth * SMALLEST)
        for length in data.draw(st.lists(st.integers(1, 4000), max_size=8)):
            extent = pool.take(extent_size(length))
            if extent is not None:
                assert extent.size >= length
                assert extent.start % extent.size == 0
                assert extent.start + extent.size <= pool.positions
                taken.append(extent)
        places = sorted(taken)
        assert all(a.start + a.size <= b.start for a, b in itertools.pairwise(places))
        while taken and data.draw(st.booleans()):
            pool.give(taken.pop(data.draw(st.integers(0, len(taken) - 1))))
    for extent in taken:
        pool.give(extent)
    # Free neighbours are joined: all of it can be had in as few extents as its size has binary digits.
    start, pieces = 0, 0
    while start < pool.positions:
        size = 1 << ((pool.positions - start).bit_length() - 1)
        assert pool.take(size) == Extent(start, size)
        start, pieces = start + size, pieces + 1
    assert pieces <= pool.positions.bit_length()
    assert pool.take(SMALLEST) is None


def test_the_closest_and_lowest_is_taken() -> None:
    pool = ExtentPool()
    pool.grow(1024)
    first, second, third = (pool.take(size) for size in (64, 256, 64))
    assert (first, second, third) == (Extent(0, 64), Extent(256, 256), Extent(64, 64))
