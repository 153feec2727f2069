"""Aggregations: how token losses become one number."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from agentgym.training.parts import Part


class Aggregation(Part, kind="aggregation"):
    """How token losses become one number."""

    @abstractmethod
    def weights(self, length_R: Tensor, trajectory_R: Tensor) -> Tensor:
        """Return the weight of each token of a turn, shape (R,): loss = sum over tokens of weight x loss.

        `length_R` counts each turn's trained tokens; turns without any weigh nothing.
        """


class TokenMean(Aggregation, name="token_mean"):
    """Every token of the batch counts the same (DAPO; verl's `token-mean`)."""

    def weights(self, length_R: Tensor, trajectory_R: Tensor) -> Tensor:
        """Return 1 / (tokens in the batch) for each turn."""
        return torch.ones_like(length_R, dtype=torch.float32) / length_R.sum().clamp(min=1)


class TurnMean(Aggregation, name="turn_mean"):
    """The mean over turns of the mean over a turn's tokens (GRPO's per-sample length norm on turn rows)."""

    def weights(self, length_R: Tensor, trajectory_R: Tensor) -> Tensor:
        """Return 1 / (turns with tokens x tokens of the turn)."""
        return 1.0 / (length_R.float().clamp(min=1) * (length_R > 0).sum().clamp(min=1))


class RolloutMean(Aggregation, name="rollout_mean"):
    """The mean over trajectories of the mean over a trajectory's tokens: long episodes weigh no more."""

    def weights(self, length_R: Tensor, trajectory_R: Tensor) -> Tensor:
        """Return 1 / (trajectories with tokens x tokens of the trajectory)."""
        total_T = _trajectory_tokens(length_R, trajectory_R)
        return 1.0 / (total_T.float().clamp(min=1)[trajectory_R] * (total_T > 0).sum().clamp(min=1))


class SeqMeanTokenSum(Aggregation, name="seq_mean_token_sum"):
    """The mean over turns or trajectories of the sum over their tokens (verl's `seq-mean-token-sum`)."""

    over: Literal["turns", "trajectories"] = "trajectories"

    def weights(self, length_R: Tensor, trajectory_R: Tensor) -> Tensor:
        """Return 1 / (turns or trajectories with tokens) for each turn."""
        return torch.full_like(
            length_R, 1.0 / _filled(self.over, length_R, trajectory_R), dtype=torch.float32
        )


class Constant(Aggregation, name="constant"):
    """The sum over tokens divided by a number of rows x `tokens`: no length enters (Dr.GRPO, arXiv 2503.20783).

    The released verl form leaves out the division by the number of rows, which makes the step grow with
    the batch.
    """

    tokens: int = Field(default=256, ge=1)
    rows: Literal["trajectories", "turns", "one"] = "trajectories"
    """What are counted as rows; `one`: they do not enter."""
    published: ClassVar = {"rows": "one"}

    def weights(self, length_R: Tensor, trajectory_R: Tensor) -> Tensor:
        """Return 1 / (rows with tokens x `tokens`) for each turn."""
        rows = 1 if self.rows == "one" else _filled(self.rows, length_R, trajectory_R)
        return torch.full_like(length_R, 1.0 / (rows * self.tokens), dtype=torch.float32)


def _filled(what: Literal["turns", "trajectories"], length_R: Tensor, trajectory_R: Tensor) -> int:
    """Return how many turns or trajectories have tokens, at least 1."""
    counts = length_R if what == "turns" else _trajectory_tokens(length_R, trajectory_R)
    return max(int((counts > 0).sum()), 1)


def _trajectory_tokens(length_R: Tensor, trajectory_R: Tensor) -> Tensor:
    """Return the number of trained tokens of each trajectory, shape (T,)."""
    trajectories = int(trajectory_R.max()) + 1 if len(trajectory_R) else 0
    return length_R.new_zeros(trajectories).index_add(0, trajectory_R, length_R)
