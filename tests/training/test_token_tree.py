"""A token tree holds every path that was added, each shared beginning once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agentgym.training.token_tree import TokenTree, ancestors, depths, paths, runs

PATHS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=8)


def grown(sequences: list[list[int]]) -> tuple[TokenTree, list[list[int]]]:
    tree = TokenTree()
    return tree, [tree.add(-1, np.array(ids, np.int32)).tolist() for ids in sequences]


@given(PATHS)
def test_holds_every_sequence_and_each_beginning_once(sequences: list[list[int]]) -> None:
    tree, places = grown(sequences)
    ids, parent = tree.arrays(tree.size)
    for sequence, place in zip(sequences, places, strict=True):
        assert ids[place].tolist() == sequence
        assert parent[place].tolist() == [-1, *place[:-1]]
    assert tree.size == len({tuple(s[: n + 1]) for s in sequences for n in range(len(s))})


@given(PATHS, st.data())
def test_a_path_goes_on_from_any_token(sequences: list[list[int]], data: st.DataObject) -> None:
    tree, places = grown(sequences)
    start = data.draw(st.sampled_from(places))
    cut = data.draw(st.integers(1, len(start)))
    more = data.draw(st.lists(st.integers(0, 2), max_size=5))
    ids_before, _ = tree.arrays(tree.size)
    added = tree.add(start[cut - 1], np.array(more, np.int32)).tolist()
    again = tree.add(-1, np.array([*ids_before[start[:cut]], *more], np.int32)).tolist()
    assert again == [*start[:cut], *added]


@given(PATHS)
def test_depths_paths_and_ancestors_follow_the_parents(sequences: list[list[int]]) -> None:
    tree, places = grown(sequences)
    _, parent = tree.arrays(tree.size)
    depth = depths(parent)
    for place in places:
        assert depth[place].tolist() == list(range(len(place)))
        assert np.flatnonzero(ancestors(parent, np.array(place[-1:]))).tolist() == sorted(place)
    for (_, stop), path in zip(runs(parent), paths(parent), strict=True):
        assert path[-1] == stop - 1
        assert parent[path].tolist() == [-1, *path[:-1]]


def test_the_first_tokens_of_a_tree_are_the_tree_before_the_rest_was_added() -> None:
    tree, _ = grown([[1, 2, 3]])
    before, size = tree.arrays(tree.size), tree.size
    tree.add(1, np.array([5, 6], np.int32))
    after = tree.arrays(size)
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
