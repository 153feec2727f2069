"""No credit from rewards."""

from __future__ import annotations

import numpy as np

from agentgym.training.advantages.base import Advantage
from agentgym.training.turns import TurnTable, Values


class Nothing(Advantage, name="none"):
    """Every turn gets 0: what is learned comes from a teacher or from demonstrations."""

    def __call__(self, turns: TurnTable) -> Values:
        """Return zeros, shape (R,)."""
        return np.zeros(len(turns.turn_R))
