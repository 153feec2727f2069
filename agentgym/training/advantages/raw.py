"""No baseline."""

from __future__ import annotations

from agentgym.training.advantages.base import Penalised
from agentgym.training.turns import TurnTable, Values


class Score(Penalised, name="score"):
    """The trajectory's return itself (REINFORCE); unbiased, of large variance. Shaping may whiten it."""

    def __call__(self, turns: TurnTable) -> Values:
        """Return the return of each turn's trajectory, shape (R,)."""
        penalty_R = self.penalty(turns, "return") + self.penalty(turns, "advantage")
        return self.charged(turns).score_R - penalty_R
