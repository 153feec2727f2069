"""Shaping by how undecided the policy was."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from agentgym.training.advantages.base import normalise
from agentgym.training.shaping.base import Progress, Shaping, column
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import Indices, Samples, TurnTable, Values


class EntropyProgress(Shaping, name="entropy_progress"):
    """ERPO (arXiv 2603.28204), reconstructed: sign(A) x sigmoid(`sharpness` x h) x s for each token.

    h is the token's entropy, standardised within its group; s is how far the policy has moved from the reference at
    the token, |log pi - log reference|, relative to the mean of the trajectories of similar length, of which there are
    `buckets` in the batch. Where nothing has moved yet, s is 1.
    """

    sharpness: float = Field(default=1.0, ge=0)
    buckets: int = Field(default=4, ge=1)
    needs = frozenset({"entropy", "reference"})

    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the advantage of each token, shape (N,)."""
        entropy_N = column(tokens.entropy_N, self, "entropy")
        moved_N = np.abs(tokens.old_logp_N - column(tokens.reference_logp_N, self, "reference"))
        group_N = turns.group_R[tokens.turn_N]
        standard_N = normalise(entropy_N, Samples.of(entropy_N, group_N), group_N, std=True)
        rank_T = np.argsort(np.argsort(turns.tokens_T, kind="stable"), kind="stable")
        bucket_N = (rank_T * self.buckets // max(len(rank_T), 1))[turns.trajectory_R[tokens.turn_N]]
        mean_N = Samples.of(moved_N, bucket_N).mean_G[bucket_N]
        share_N = np.divide(moved_N, mean_N, out=np.ones_like(moved_N), where=mean_N > 0)
        return np.sign(advantage_N) / (1 + np.exp(-self.sharpness * standard_N)) * share_N


class UndecidedTurns(Shaping, name="undecided_turns"):
    """DART's step selection (arXiv 2509.23866), reconstructed: of each trajectory, only the turns of highest mean
    entropy are learned from; the others' advantages are 0. The number kept is rounded up.
    """

    share: float = Field(default=0.8, gt=0, le=1)
    """Of the turns with trained tokens."""
    needs = frozenset({"entropy"})

    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the advantages of the tokens of the chosen turns, and 0 for others, shape (N,)."""
        entropy_N = column(tokens.entropy_N, self, "entropy")
        count = len(turns.turn_R)
        length_R = np.bincount(tokens.turn_N, minlength=count)
        mean_R = np.bincount(tokens.turn_N, entropy_N, count) / np.maximum(length_R, 1)
        spoken = np.flatnonzero(length_R)
        trajectory = turns.trajectory_R[spoken]
        rank = descending_ranks(mean_R[spoken], trajectory)
        kept_R = np.zeros(count, np.bool_)
        kept_R[spoken] = rank < np.ceil(self.share * np.bincount(trajectory)[trajectory] - 1e-9)
        return np.where(kept_R[tokens.turn_N], advantage_N, 0.0)


def descending_ranks(values: Values, owner: Indices) -> Indices:
    """Return the place of each value among its owner's, from 0 for the highest; of equal ones the first leads."""
    order = np.lexsort((np.arange(len(values)), -values, owner))
    first = np.searchsorted(owner[order], owner[order], side="left")
    rank = np.empty(len(values), np.int64)
    rank[order] = np.arange(len(values)) - first
    return rank
