"""Support and query stay apart, whatever is made from what and in whatever order it comes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from agentgym.training.remembering.separation import Separation, Use

EPISODES = [f"e{n}" for n in range(12)]


class World(NamedTuple):
    """Items with the episodes that they were made from and the older items that they were made under."""

    sources: Mapping[str, frozenset[str]]
    parents: Mapping[str, frozenset[str]]

    def made_from(self, version: str) -> frozenset[str]:
        inherited = [self.made_from(parent) for parent in self.parents[version]]
        return self.sources[version].union(*inherited)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    names = [f"v{n}" for n in range(draw(st.integers(1, 6)))]
    some = st.frozensets(st.sampled_from(EPISODES), max_size=3)
    return World(
        {name: draw(some) for name in names},
        {
            name: draw(st.frozensets(st.sampled_from(names[:place]), max_size=2)) if place else frozenset()
            for place, name in enumerate(names)
        },
    )


@given(st.data(), worlds())
def test_nothing_trains_the_policy_that_uses_what_was_made_from_it(data: st.DataObject, world: World) -> None:
    shown = st.frozensets(st.sampled_from(sorted(world.sources)), max_size=3)
    uses = st.builds(Use, st.sampled_from(EPISODES), shown)
    separation = Separation()
    trained: list[Use] = []
    for _ in range(data.draw(st.integers(1, 5))):
        batch = data.draw(st.lists(uses, max_size=6))
        aside = set(data.draw(st.frozensets(st.sampled_from(EPISODES), max_size=2))) - separation.trained
        separation.set_aside(aside)
        admitted = separation.admit(batch, world.made_from)
        kept = [use for use, stays in zip(batch, admitted.kept, strict=True) if stays]
        assert len(kept) + admitted.sources + admitted.users == len(batch)
        trained += kept
        names = {use.episode for use in trained}
        behind = {e for use in trained for version in use.shown for e in world.made_from(version)}
        assert not names & behind
        assert separation.trained == names
        assert not names & separation.behind
        assert separation.behind >= behind | aside


@given(worlds(), st.lists(st.sampled_from(EPISODES), unique=True, max_size=6))
def test_nothing_is_left_out_without_a_reason(world: World, batch: list[str]) -> None:
    """Without items everything trains; with one, what is left out is behind it, or was shown it too late."""
    assert all(Separation().admit([Use(name) for name in batch], world.made_from).kept)
    for version in world.sources:
        sources = world.made_from(version)
        admitted = Separation().admit([Use("user", frozenset({version})), *map(Use, batch)], world.made_from)
        assert admitted.kept == [True, *(name not in sources for name in batch)]
        late = Separation(trained=set(sources)).admit([Use("user", frozenset({version}))], world.made_from)
        assert (late.kept, late.users) == ([not sources], int(bool(sources)))


def test_lineage_is_followed() -> None:
    """What was written under an item carries the item's sources on, however far."""
    names = [f"v{n}" for n in range(5)]
    chain = World(
        {"v0": frozenset({"origin"}), **{name: frozenset() for name in names[1:]}},
        {"v0": frozenset(), **{new: frozenset({old}) for old, new in pairwise(names)}},
    )
    batch = [Use("origin"), Use("user", frozenset({"v4"}))]
    admitted = Separation().admit(batch, chain.made_from)
    assert admitted == ([False, True], 1, 0)
    first = Separation()
    assert first.admit(batch[:1], chain.made_from).kept == [True]
    assert first.admit(batch[1:], chain.made_from) == ([False], 0, 1)
