"""Finding the sequence that begins most like a given one.

In the order of dictionaries, the sequence that shares the longest prefix with another is its neighbour.
Token ids are compared as bytes, so that a search is a dozen comparisons of memory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import count
from typing import Generic, NamedTuple, TypeVar

Owner = TypeVar("Owner")
_WIDTH = array("i").itemsize


class Shared(NamedTuple, Generic[Owner]):
    """The owner of a sequence and how many of its first ids are those asked for."""

    owner: Owner
    length: int


class PrefixIndex(Generic[Owner]):
    """Sequences of token ids, one for each owner."""

    def __init__(self) -> None:
        self._serial = count()
        self._entries: list[tuple[bytes, int]] = []
        self._keys: dict[Owner, tuple[bytes, int]] = {}
        self._owners: dict[int, Owner] = {}

    def extend(self, owner: Owner, ids: Sequence[int], length: int) -> None:
        """Lengthen the owner's sequence, the beginning of `ids` or empty, to the first `length` of them."""
        key = self._keys[owner][0] if owner in self._keys else b""
        self._set(owner, key + array("i", ids[len(key) // _WIDTH : length]).tobytes())

    def cut(self, owner: Owner, length: int) -> None:
        """Shorten the owner's sequence to its first `length` ids."""
        if owner in self._keys and len(self._keys[owner][0]) > length * _WIDTH:
            self._set(owner, self._keys[owner][0][: length * _WIDTH])

    def _set(self, owner: Owner, key: bytes) -> None:
        self.remove(owner)
        if not key:
            return
        entry = (key, next(self._serial))
        insort(self._entries, entry)
        self._keys[owner] = entry
        self._owners[entry[1]] = owner

    def remove(self, owner: Owner) -> None:
        """Forget the owner's sequence, if there is one."""
        entry = self._keys.pop(owner, None)
        if entry is not None:
            del self._entries[bisect_left(self._entries, entry)]
            del self._owners[entry[1]]

    def longest(self, ids: Sequence[int]) -> Shared[Owner] | None:
        """Return an owner whose sequence shares the longest prefix with `ids`; None where all begin otherwise."""
        asked = array("i", ids).tobytes()
        place = bisect_left(self._entries, (asked, -1))
        best: Shared[Owner] | None = None
        for key, serial in self._entries[max(0, place - 1) : place + 1]:
            length = _shared_bytes(asked, key) // _WIDTH
            if length and (best is None or length > best.length):
                best = Shared(self._owners[serial], length)
        return best


def _shared_bytes(left: bytes, right: bytes) -> int:
    """Return how many first bytes are equal, by halving: comparing memory is much faster than a loop."""
    low, high = 0, min(len(left), len(right))
    if left[:high] == right[:high]:
        return high
    while low + 1 < high:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low
