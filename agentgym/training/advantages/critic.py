"""Advantages over what a critic expects, for learning from recorded episodes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from agentgym.core.errors import UsageError
from agentgym.training.advantages.base import Advantage
from agentgym.training.turns import TurnTable, Values


class Leftover(Advantage, name="leftover"):
    """What was earned from the turn on minus the critic's value of its state, where that is positive (A-LoL, arXiv
    2305.14718, eq. 4): the others are left out, often a third to a half of the data.
    """

    judged: ClassVar[tuple[str, ...]] = ("value",)

    def __call__(self, turns: TurnTable) -> Values:
        """Return max(return - value, 0), shape (R,)."""
        return np.maximum(turns.returns(1.0) - judgement(turns, "value"), 0.0)


class Implicit(Advantage, name="implicit"):
    """Weight of an answer that the critic holds to be better or worse than its state: exp(beta (Q - V)), at most
    `ceiling` (IQL, arXiv 2110.06169, eq. 7). With the loss `score` this is advantage-weighted regression: all
    answers are imitated, the better ones more.
    """

    judged: ClassVar[tuple[str, ...]] = ("value", "quality")
    beta: float = Field(default=3.0, ge=0)
    ceiling: float = Field(default=100.0, gt=0)

    def __call__(self, turns: TurnTable) -> Values:
        """Return min(exp(beta (Q - V)), ceiling), shape (R,)."""
        exponent_R = self.beta * (judgement(turns, "quality") - judgement(turns, "value"))
        return np.exp(np.minimum(exponent_R, np.log(self.ceiling)))


class Improvement(Advantage, name="improvement"):
    """Whether the critic holds the answer to be better than its state, 1 or 0 (Digi-Q): with the loss `score` the
    better answers are imitated, all alike.
    """

    judged: ClassVar[tuple[str, ...]] = ("value", "quality")

    def __call__(self, turns: TurnTable) -> Values:
        """Return 1 where Q > V, else 0, shape (R,)."""
        return (judgement(turns, "quality") > judgement(turns, "value")).astype(np.float64)


def judgement(turns: TurnTable, what: str) -> Values:
    """Return the critic's `value` or `quality`; raises `UsageError` where there is none."""
    column: Values | None = getattr(turns, f"{what}_R")
    if column is None:
        raise UsageError(
            f"This advantage needs a critic that judges the {what} of turns: set critic=monte_carlo for values, "
            "critic=expectile for qualities too."
        )
    return column
