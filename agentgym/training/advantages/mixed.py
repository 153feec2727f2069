"""Baselines over the group's turns of the same number and over the whole batch."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from agentgym.training.advantages.base import Penalised, normalise
from agentgym.training.turns import Samples, TurnTable, Values, codes


class TurnBatchMix(Penalised, name="turn_batch_mix"):
    """MAPO (arXiv 2603.06194), reconstructed: `mix` times the return from the turn on relative to the group's turns
    of the same number, plus 1 - `mix` times the same relative to all turns of the batch.
    """

    mix: float = Field(default=0.5, ge=0, le=1)
    gamma: float = Field(default=0.95, ge=0, le=1)
    std: bool = True

    def __call__(self, turns: TurnTable) -> Values:
        """Return mix x turn advantage + (1 - mix) x batch advantage, shape (R,)."""
        charged = self.charged(turns)
        value_R = charged.returns(self.gamma) - self.penalty(turns, "return")
        number_R = codes(zip(turns.group_R.tolist(), turns.turn_R.tolist(), strict=True))
        whole_R = np.zeros_like(number_R)
        by_turn_R = normalise(value_R, Samples.of(value_R, number_R), number_R, self.std)
        by_batch_R = normalise(value_R, Samples.of(value_R, whole_R), whole_R, self.std)
        return self.mix * by_turn_R + (1 - self.mix) * by_batch_R - self.penalty(turns, "advantage")
