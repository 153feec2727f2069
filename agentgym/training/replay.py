"""Replay: learning again from the episodes of earlier iterations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from pydantic import Field

from agentgym.core.trace import Episode
from agentgym.rollout.collect import derive_seed
from agentgym.training.parts import Part

Recall: TypeAlias = Callable[[int], Iterable[Episode]]
"""Returns the episodes that were played in an iteration."""


class Replay(Part, kind="replay"):
    """Which earlier episodes are learned from besides an iteration's own."""

    @property
    def renewal(self) -> int:
        """The iteration at whose beginning the reference becomes the policy as it then is; 0: none."""
        return 0

    @abstractmethod
    def draw(self, fresh: Sequence[Episode], iteration: int, seed: int, recall: Recall) -> list[Episode]:
        """Return the earlier episodes to learn from in `iteration`, which has played `fresh`.

        A function of what was played, the seed and the iteration alone, so resuming is exact.
        """


class NoReplay(Replay, name="none"):
    """Only what the iteration itself has played."""

    def draw(self, fresh: Sequence[Episode], iteration: int, seed: int, recall: Recall) -> list[Episode]:
        """Return nothing."""
        return []


class RecentReplay(Replay, name="recent"):
    """Groups of the last iterations, drawn at random without replacement (ReMix, "Squeeze the Soaked Sponge").

    Whole groups, so that each is compared with those it was played with.
    """

    iterations: int = Field(default=2, ge=1)
    """How far back."""
    share: float = Field(default=0.4, gt=0, lt=1)
    """Of the groups that are learned from."""
    reincarnate_at: int = Field(default=0, ge=0)
    """Policy reincarnation: from this iteration on nothing is replayed, and the reference is the policy as it
    stands at its beginning. 0: never."""

    @property
    def renewal(self) -> int:
        """`reincarnate_at`."""
        return self.reincarnate_at

    def draw(self, fresh: Sequence[Episode], iteration: int, seed: int, recall: Recall) -> list[Episode]:
        """Return as many earlier groups as make up `share`, or as there are."""
        if self.reincarnate_at and iteration >= self.reincarnate_at:
            return []
        groups: dict[str, list[Episode]] = {}
        for earlier in range(max(iteration - self.iterations, 0), iteration):
            for episode in sorted(recall(earlier), key=lambda episode: episode.id):
                if episode.outcome.scored and episode.teaches:
                    groups.setdefault(episode.group_id, []).append(episode)
        own = len({episode.group_id for episode in fresh})
        wanted = min(round(own * self.share / (1.0 - self.share)), len(groups))
        random = np.random.default_rng(derive_seed(seed, "replay", iteration))
        names = sorted(groups)
        chosen = sorted(random.permutation(len(names))[:wanted].tolist())
        return [episode for index in chosen for episode in groups[names[index]]]
