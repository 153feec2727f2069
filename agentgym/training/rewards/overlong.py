"""A price on length."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from agentgym.training.rewards.base import Reward, with_outcome_bonus
from agentgym.training.turns import TurnTable


class Overlong(Reward, name="overlong"):
    """DAPO's soft punishment of long answers (arXiv 2503.14476, eq. 13): nothing up to `limit - buffer` trained
    tokens in the trajectory, from there linearly down to `-factor` at `limit`, and on beyond it.
    """

    limit: int = Field(default=20480, ge=1)
    """Most trained tokens a trajectory may have."""
    buffer: int = Field(default=4096, ge=1)
    """Tokens before the limit over which the punishment grows."""
    factor: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _buffer_fits(self) -> Self:
        if self.buffer > self.limit:
            raise ValueError(f"`buffer` is {self.buffer}; give at most `limit`, {self.limit}")
        return self

    def __call__(self, turns: TurnTable) -> TurnTable:
        """Return the table with min(0, -(length - limit + buffer) / buffer x factor) added to each score."""
        over_T = turns.tokens_T - (self.limit - self.buffer)
        return with_outcome_bonus(turns, np.minimum(-over_T / self.buffer * self.factor, 0.0))
