"""What an iteration learns from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentgym.core.trace import Episode

Keep: TypeAlias = Callable[[Episode, str], None]
"""Told each episode as it ends, with its phase: `train`, `guided` for what another policy did, or `imagined` for what was
played in a model of the environment."""


class Source(Protocol):
    """Where the experience of the iterations comes from."""

    def play(self, iteration: int, keep: Keep) -> Experience:
        """Return what an iteration, counted from 0, learns from; the same whenever it is asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Experience:
    """Episodes to learn from, and figures of all that was played for them."""

    episodes: Sequence[Episode]
    guided: Sequence[bool] = ()
    """Which of them another policy played, or this one at another time; empty: none."""
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    dropped: frozenset[str] = frozenset()
    """Ids of groups that lost so many members that nothing is learned from the others."""

    @property
    def guided_T(self) -> NDArray[np.bool_]:
        """`guided` for each of the T episodes."""
        return np.array(self.guided or [False] * len(self.episodes), np.bool_)

    def teaching(self) -> Experience:
        """Return those that can teach: with a score, of a whole enough group, not over before the policy acted."""
        return self.only(
            [
                each.outcome.scored and not each.ended_in_prefix and each.group_id not in self.dropped
                for each in self.episodes
            ]
        )

    def only(self, kept: Sequence[bool], metrics: Mapping[str, float] | None = None) -> Experience:
        """Return some of the episodes, `kept` of them, with more figures."""
        chosen = [
            pair
            for pair, stays in zip(zip(self.episodes, self.guided_T, strict=True), kept, strict=True)
            if stays
        ]
        guided = [bool(other) for _, other in chosen]
        return Experience([episode for episode, _ in chosen], guided, {**self.metrics, **(metrics or {})})

    def joined(self, more: Sequence[Episode]) -> Experience:
        """Return these and `more`, which the policy itself has played."""
        guided = [*self.guided_T.tolist(), *[False] * len(more)]
        return Experience([*self.episodes, *more], guided, self.metrics)
