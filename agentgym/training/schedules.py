"""Schedules: in which order the turns of a batch are learned from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.training.parts import Part
from agentgym.training.turns import Indices, TurnTable


class Schedule(Part, kind="schedule"):
    """In which order the turns of a batch are learned from."""

    @abstractmethod
    def steps(self, turns: TurnTable, seed: int) -> Iterator[Indices]:
        """Yield, for each optimiser step, the rows of `turns` it learns from."""


class Simultaneous(Schedule, name="simultaneous"):
    """All turns of a trajectory at once, in `minibatches` steps over shuffled trajectories, `epochs` times."""

    epochs: int = Field(default=1, ge=1)
    minibatches: int = Field(default=1, ge=1)

    def steps(self, turns: TurnTable, seed: int) -> Iterator[Indices]:
        """Yield the rows of each mini-batch of trajectories."""
        random = np.random.default_rng(seed)
        for _ in range(self.epochs):
            order: NDArray[np.int64] = random.permutation(len(turns.score_T))
            for part in np.array_split(order, self.minibatches):
                if len(part):
                    yield np.flatnonzero(np.isin(turns.trajectory_R, part))
