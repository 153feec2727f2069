"""Advantages normalised over the whole batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from agentgym.training.advantages.base import Advantage, Singleton
from agentgym.training.turns import Indices, Samples, TurnTable, Values, codes

LEAST_DEVIATION = 1e-6
"""A batch that deviates by no more is centred only, as in the released code."""


class BatchNormalised(Advantage, name="batch_normalised"):
    """SeeUPO's GRAE (arXiv 2602.06554): return minus the group's mean, then normalised over the batch and bounded.

    The released code learns from one turn number at a time and fills short trajectories up with placeholder
    turns, so that its statistics are over all trajectories at every turn; `placeholders = false` takes them
    over the trajectories that reached the turn, which are not the same policy's average any more.
    """

    std: bool = True
    """Normalise over the batch: minus its mean, over its sample deviation; else only the group's mean is taken."""
    bound: float = Field(default=3.0, ge=0)
    """Largest absolute advantage; 0 for none."""
    placeholders: bool = True
    singleton: Singleton = "zero"
    published: ClassVar[Mapping[str, Any]] = {"singleton": "raw"}

    def __call__(self, turns: TurnTable) -> Values:
        """Return the normalised advantage of each turn, shape (R,)."""
        if self.placeholders:
            batch_T = np.zeros_like(turns.group_T)
            return self._normalised(turns.score_T, turns.group_T, batch_T)[turns.trajectory_R]
        group_R = codes(zip(turns.group_R.tolist(), turns.turn_R.tolist(), strict=True))
        return self._normalised(turns.score_R, group_R, turns.turn_R)

    def _normalised(self, score_S: Values, group_S: Indices, batch_S: Indices) -> Values:
        groups = Samples.of(score_S, group_S)
        compared_S = groups.centred(score_S, groups.mean_G, group_S)
        alone_S = (groups.size_G == 1)[group_S]
        value_S = np.where(alone_S, score_S if self.singleton == "raw" else 0.0, compared_S)
        if self.std:
            batches = Samples.of(value_S, batch_S)
            deviation_B = batches.deviation()
            scale_B = np.where(deviation_B > LEAST_DEVIATION, deviation_B, 1.0)
            value_S = batches.centred(value_S, batches.mean_G, batch_S) / scale_B[batch_S]
        return np.clip(value_S, -self.bound, self.bound) if self.bound else value_S
