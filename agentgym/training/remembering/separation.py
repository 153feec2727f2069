"""Support and query: what a memory was made from does not train the policy that uses it (MetaClaw, arXiv 2603.17187).

An episode that an item was made from ended as it did without the item. Learned from beside episodes that were shown the
item, it rewards what the policy did before it could know better; and a policy that has learned the episode by heart
gains nothing from the item that would show its worth. MetaClaw tells the two apart by a counter of generations, which
one of its two ways of writing does not raise. Here lineage decides: every version names the episodes behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

MadeFrom: TypeAlias = Callable[[str], frozenset[str]]
"""Returns the episodes that a version, or one that it was made from or under, was made from."""


class Use(NamedTuple):
    """An episode, and the versions of memory items that it was shown."""

    episode: str
    """Unique over runs, such as `RUN/EPISODE`."""
    shown: frozenset[str] = frozenset()


class Admitted(NamedTuple):
    """Which episodes of a batch may train the policy."""

    kept: list[bool]
    """For each of them."""
    sources: int
    """Left out: something that the policy is shown was made from them."""
    users: int
    """Left out: they were shown what was made from episodes that have trained the policy."""


@dataclass
class Separation:
    """What has trained a policy, and what is behind the items that it has been shown; the two never meet.

    Whatever is admitted, in whatever order: no episode that has trained the policy is behind a version that was shown
    in an episode that has trained it.
    """

    trained: set[str] = field(default_factory=set[str])
    """Episodes that the policy has learned from."""
    behind: set[str] = field(default_factory=set[str])
    """Episodes behind what those were shown, and those set aside to make items from."""

    def set_aside(self, episodes: Iterable[str]) -> None:
        """Note episodes that items are made from: they never train the policy."""
        self.behind.update(episodes)

    def admit(self, uses: Sequence[Use], made_from: MadeFrom) -> Admitted:
        """Say which episodes of a batch may train the policy, and note that they do."""
        sources = [frozenset[str]().union(*map(made_from, use.shown)) for use in uses]
        usable = [self.trained.isdisjoint(each) for each in sources]
        shown = [each for each, may in zip(sources, usable, strict=True) if may]
        behind = self.behind.union(*shown)
        kept = [may and use.episode not in behind for use, may in zip(uses, usable, strict=True)]
        for use, each, stays in zip(uses, sources, kept, strict=True):
            if stays:
                self.trained.add(use.episode)
                self.behind |= each
        users = usable.count(False)
        return Admitted(kept, kept.count(False) - users, users)
