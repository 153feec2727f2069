"""Schedules: in which order the turns of a batch are learned from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.training.parts import Part
from agentgym.training.turns import Indices, TurnTable, Values

LogRatios: TypeAlias = Callable[[Indices], Values]
"""Given rows of the step that was yielded last, a `measured` one, the mean log-ratio of each one's tokens: the
policy now to the policy before that step, shape (rows,). Costs a forward pass over them if the step changed
anything; tokens guided by others count too."""


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step of a schedule."""

    rows: Indices
    """The rows of the credit table it learns from."""
    factor_R: Values | None = None
    """Multiplies each turn's advantage, over all R rows of the credit table; None: 1."""
    fresh: bool = False
    """Take ratios to the policy just before this step, not to the one the batch was scored under."""
    measured: bool = False
    """Whether `log_ratios` may be asked about its rows."""


class Schedule(Part, kind="schedule"):
    """In which order the turns of a batch are learned from."""

    step_scale: float = Field(default=1.0, gt=0, le=1)
    """The learning rate of each step, as a share of the optimiser's: of many steps each should be smaller."""

    @abstractmethod
    def steps(self, turns: TurnTable, seed: int, log_ratios: LogRatios) -> Iterator[Step]:
        """Yield the optimiser steps; each is taken before the iterator is asked for the next."""


class Simultaneous(Schedule, name="simultaneous"):
    """All turns of a trajectory at once, in `minibatches` steps over shuffled trajectories, `epochs` times."""

    epochs: int = Field(default=1, ge=1)
    minibatches: int = Field(default=1, ge=1)

    def steps(self, turns: TurnTable, seed: int, log_ratios: LogRatios) -> Iterator[Step]:
        """Yield the rows of each mini-batch of trajectories."""
        random = np.random.default_rng(seed)
        for _ in range(self.epochs):
            order: NDArray[np.int64] = random.permutation(len(turns.score_T))
            for part in np.array_split(order, self.minibatches):
                if len(part):
                    yield Step(np.flatnonzero(np.isin(turns.trajectory_R, part)))
