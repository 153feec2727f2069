"""What the loss saw of each trained token of a batch, kept for whoever looks at the run.

Legend: N trained tokens of the batch, R turns; see `agentgym.store.lessons` for one episode's part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from agentgym.store.lessons import Lesson, split
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.objective import Losses
from agentgym.training.turns import Indices, TurnTable, Values


@dataclass(frozen=True, slots=True)
class UsedTokens:
    """Filled in step by step; of a token that several steps compute, the last one's values stay."""

    advantage_N: NDArray[np.float32]
    ratio_N: NDArray[np.float32]
    """NaN before a step has computed the token."""
    clipped_N: NDArray[np.bool_]

    @classmethod
    def of(cls, advantage_N: Values) -> Self:
        """Begin with the advantages before any step."""
        count = len(advantage_N)
        return cls(
            advantage_N.astype(np.float32), np.full(count, np.nan, np.float32), np.zeros(count, np.bool_)
        )

    def note(self, token_N: Indices, tokens: TokenBatch, losses: Losses) -> None:
        """Keep what a step's loss saw of the table's entries `token_N`."""
        self.advantage_N[token_N] = tokens.advantage_N.detach().cpu().numpy()
        self.ratio_N[token_N] = losses.log_ratio_N.exp().float().cpu().numpy()
        self.clipped_N[token_N] = losses.clipped_N.bool().cpu().numpy()

    def lessons(
        self, episodes: Sequence[str], iteration: int, turns: TurnTable, advantage_R: Values
    ) -> list[Lesson]:
        """Return each episode's part; `advantage_R` are the advantages of its turns before shaping."""
        count = len(turns.score_T)
        turns_T = np.bincount(turns.trajectory_R, minlength=count).tolist()
        tokens_T = turns.tokens_T.tolist()
        parts = zip(
            episodes,
            split(advantage_R.astype(np.float32), turns_T),
            *(split(column, tokens_T) for column in (self.advantage_N, self.ratio_N, self.clipped_N)),
            strict=True,
        )
        return [Lesson(episode, iteration, *columns) for episode, *columns in parts]
