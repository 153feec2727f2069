"""Group statistics as Trinity-RFT takes them for trajectories of several steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from agentgym.training.advantages.base import EPSILON
from agentgym.training.advantages.group import GroupMean
from agentgym.training.turns import Samples, TurnTable, Values


class StepwiseGroupMean(GroupMean, name="stepwise_group_mean"):
    """GRPO with one value per trajectory in the statistics, given to all its turns, and Trinity-RFT's options."""

    std: bool = True
    spread: Literal["group", "batch"] = "group"
    """Whose deviation divides: the group's own, or that of all returns of the batch."""
    per_turn: bool = False
    """Divide a trajectory's advantage among its turns."""
    least_deviation: float = Field(default=-1.0, ge=-1)
    """Groups that deviate by no more teach nothing; 0 also drops groups of one, -1 keeps all."""
    published: ClassVar[Mapping[str, Any]] = {"singleton": "raw", "statistics": "trajectory"}

    def scale(self, samples: Samples, turns: TurnTable) -> Values:
        """Return 1 / deviation, or 1, for each turn, shape (R,)."""
        if not self.std or self.spread == "group":
            return super().scale(samples, turns)
        whole = Samples.of(samples.value_S, np.zeros_like(samples.group_S))
        return np.full(len(turns.turn_R), 1.0 / (whole.deviation(self.population)[0] + EPSILON))

    def __call__(self, turns: TurnTable) -> Values:
        """Return the advantage of each turn's trajectory, shape (R,)."""
        advantage_R = super().__call__(turns)
        deviation_G = Samples.of(turns.score_T, turns.group_T).deviation()
        advantage_R = np.where(deviation_G[turns.group_R] > self.least_deviation, advantage_R, 0.0)
        if self.per_turn:
            length_T = np.bincount(turns.trajectory_R, minlength=len(turns.score_T))
            advantage_R = advantage_R / length_T[turns.trajectory_R]
        return advantage_R
