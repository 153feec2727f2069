"""Shaping that turns whole groups down."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np
from pydantic import Field

from agentgym.core.errors import UsageError
from agentgym.training.shaping.base import Progress, Shaping
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values, group_max


class Adora(Shaping, name="adora"):
    """ADORA, reconstructed: a group from which long successes cannot be learned is turned down by `factor`.

    A group is worth its full advantage if its longest success has more trained tokens than its failures have on
    average. One without successes or without failures is left as it is.
    """

    factor: float = Field(default=0.1, ge=0, le=1)
    success: float = 0.5
    """Least return of a success."""

    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the advantages with the factor of their group, shape (N,)."""
        return advantage_N * self.factors(turns)[turns.group_R[tokens.turn_N]]

    def factors(self, turns: TurnTable) -> Values:
        """Return the factor of each group, shape (G,)."""
        won_T, length_T, group_T = (
            turns.score_T >= self.success,
            turns.tokens_T.astype(np.float64),
            turns.group_T,
        )
        longest_G = group_max(np.where(won_T, length_T, -np.inf), group_T)
        lost_G = np.bincount(group_T, ~won_T)
        mean_G = np.bincount(group_T, ~won_T * length_T) / np.maximum(lost_G, 1)
        mixed_G = (lost_G > 0) & np.isfinite(longest_G)
        return np.where(mixed_G & (longest_G <= mean_G), self.factor, 1.0)


class SemanticEntropy(Shaping, name="semantic_entropy"):
    """SEED-GRPO (arXiv 2505.12346), reconstructed: a group that answers in many ways is unsure of its task, and
    learns from it by a factor 1 - alpha x SE / log(group size), where SE is the entropy of its answers.
    """

    alpha: float = Field(default=1 / 24, ge=0, le=1)
    answer: Literal["last_action", "actions"] = "last_action"
    """What counts as the answer of a trajectory: its last action, or all its actions in order. Case and spacing are
    ignored."""

    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the advantages with the factor of their group, shape (N,)."""
        size_G = np.bincount(turns.group_T)
        share_G = self.entropy(turns) / np.log(np.maximum(size_G, 2))
        return advantage_N * (1 - self.alpha * share_G)[turns.group_R[tokens.turn_N]]

    def entropy(self, turns: TurnTable) -> Values:
        """Return the entropy of each group's answers, in nats, shape (G,)."""
        if len(turns.action_R) != len(turns.turn_R):
            raise UsageError(
                "The shaping `semantic_entropy` compares actions, and this TurnTable has none; fill its `action_R`."
            )
        answers: list[list[str]] = [[] for _ in turns.score_T]
        for trajectory, action in zip(turns.trajectory_R.tolist(), turns.action_R, strict=True):
            answers[trajectory].append(" ".join(action.lower().split()))
        said = [tuple(actions if self.answer == "actions" else actions[-1:]) for actions in answers]
        groups = range(int(turns.group_T.max(initial=-1)) + 1)
        counts = [Counter(said[t] for t in np.flatnonzero(turns.group_T == group)) for group in groups]
        shares = [np.array(list(count.values())) / count.total() for count in counts]
        return np.array([float(-(share * np.log(share)).sum()) for share in shares])
