"""Temporal scheduling (arXiv 2605.25381), reconstructed: first learn from few tokens, in the end from all.

Each part ranks the tokens by a criterion and keeps the first `share` of them; the share goes from `start` to `end`
over the run. Tokens that are not kept get an advantage of 0.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import numpy as np
from pydantic import Field

from agentgym.training.shaping.base import Progress, Shaping, column
from agentgym.training.shaping.entropy import descending_ranks
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import Indices, TurnTable, Values

STEEPNESS = 10.0
"""Of the sigmoid, over the whole run."""


class Temporal(Shaping):
    """Keeps a growing share of the tokens."""

    start: float = Field(default=0.2, ge=0, le=1)
    """Share of the tokens kept in the first iteration."""
    end: float = Field(default=1.0, ge=0, le=1)
    """And in the last."""
    pace: Literal["linear", "sigmoid", "power"] = "linear"
    """How the share grows between; `power` is done^`exponent`."""
    exponent: float = Field(default=2.0, gt=0)

    @abstractmethod
    def ranked(self, advantage_N: Values, tokens: TokenTable, turns: TurnTable) -> tuple[Values, Indices]:
        """Return each token's worth, the highest being kept first, and whom it is ranked among, shapes (N,)."""

    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the advantages of the kept tokens, and 0 for others, shape (N,)."""
        worth_N, owner_N = self.ranked(advantage_N, tokens, turns)
        size_N = np.bincount(owner_N)[owner_N]
        kept_N = descending_ranks(worth_N, owner_N) < np.ceil(self.share(progress.done) * size_N - 1e-9)
        return np.where(kept_N, advantage_N, 0.0)

    def share(self, done: float) -> float:
        """Return the share of the tokens kept when `done` (0..1) of the run is over."""
        if self.pace == "power":
            done = done**self.exponent
        elif self.pace == "sigmoid":
            low, now, high = (1 / (1 + np.exp(-STEEPNESS * (x - 0.5))) for x in (0.0, done, 1.0))
            done = float((now - low) / (high - low))
        return self.start + (self.end - self.start) * done


class TemporalPosition(Temporal, name="temporal_position"):
    """Keeps the tokens at the beginning of each trajectory, or at its end."""

    keep: Literal["beginning", "end"] = "beginning"

    def ranked(self, advantage_N: Values, tokens: TokenTable, turns: TurnTable) -> tuple[Values, Indices]:
        """Rank a trajectory's tokens by their position."""
        position_N = np.arange(len(tokens), dtype=np.float64)
        return position_N if self.keep == "end" else -position_N, turns.trajectory_R[tokens.turn_N]


class TemporalForking(Temporal, name="temporal_forking"):
    """Keeps the batch's tokens of highest entropy: where the policy could have gone another way."""

    needs = frozenset({"entropy"})

    def ranked(self, advantage_N: Values, tokens: TokenTable, turns: TurnTable) -> tuple[Values, Indices]:
        """Rank the batch's tokens by entropy."""
        return column(tokens.entropy_N, self, "entropy"), np.zeros(len(tokens), np.int64)


class TemporalEntropyAdvantage(Temporal, name="temporal_entropy_advantage"):
    """Keeps the batch's tokens of highest entropy x |advantage|."""

    needs = frozenset({"entropy"})

    def ranked(self, advantage_N: Values, tokens: TokenTable, turns: TurnTable) -> tuple[Values, Indices]:
        """Rank the batch's tokens by entropy x |advantage|."""
        worth_N = column(tokens.entropy_N, self, "entropy") * np.abs(advantage_N)
        return worth_N, np.zeros(len(tokens), np.int64)


class TemporalOffPolicy(Temporal, name="temporal_off_policy"):
    """Keeps the batch's tokens on which the policy agrees best with its sampler."""

    needs = frozenset({"proximal"})

    def ranked(self, advantage_N: Values, tokens: TokenTable, turns: TurnTable) -> tuple[Values, Indices]:
        """Rank the batch's tokens by minus |log pi - log sampler|."""
        gap_N = np.abs(column(tokens.proximal_logp_N, self, "proximal") - tokens.sampler_logp_N)
        return -gap_N, np.zeros(len(tokens), np.int64)
