from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentgym.policies.prefixes import PrefixIndex

ids = st.lists(st.sampled_from([0, 1, 255, 256, 70_000]), max_size=7)


def common(left: list[int], right: list[int]) -> int:
    length = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        length += 1
    return length


@given(st.lists(st.tuples(st.integers(0, 6), ids, st.integers(0, 7)), max_size=25), ids)
def test_the_longest_shared_prefix_is_found(
    steps: list[tuple[int, list[int], int]], asked: list[int]
) -> None:
    index: PrefixIndex[int] = PrefixIndex()
    held: dict[int, list[int]] = {}
    for owner, sequence, length in steps:
        if length % 3 == 0:
            index.remove(owner)
            held.pop(owner, None)
        elif length % 3 == 1:
            index.cut(owner, length)
            held[owner] = held.get(owner, [])[:length]
        else:
            held[owner] = [*held.get(owner, []), *sequence]
            index.extend(owner, held[owner], len(held[owner]))
        best = max((common(known, asked) for known in held.values()), default=0)
        found = index.longest(asked)
        assert (found.length if found else 0) == best
        if found is not None:
            assert common(held[found.owner], asked) == best
