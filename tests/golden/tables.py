"""From the padded arrays of golden cases to what the parts see.

A row of a case is one turn, and each row a trajectory of its own unless the case names trajectories.
Legend: B rows, L padded width, N trained tokens, R turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from agentgym.training.losses.aggregations import Aggregation
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.objective import Objective
from agentgym.training.turns import TurnTable, codes


def mask_of(rows: Any) -> Tensor:
    """Return which places of a padded array are trained tokens, shape (B, L)."""
    return torch.tensor(rows).bool()


def flat(rows: Any, mask_BL: Tensor) -> Tensor:
    """Return the trained tokens of a padded array, row by row, shape (N,)."""
    return torch.tensor(rows, dtype=torch.float32)[mask_BL]


def padded(values_N: Tensor | NDArray[Any], mask_BL: Tensor) -> Tensor:
    """Return a padded array with zeros where no token is trained, shape (B, L)."""
    full = torch.zeros(mask_BL.shape)
    full[mask_BL] = torch.as_tensor(values_N, dtype=torch.float32)
    return full


def token_batch(given: Mapping[str, Any], mask_BL: Tensor, **names: str) -> TokenBatch:
    """Return the batch of a case; `names` maps further fields of the batch to inputs of the case."""
    row_N = torch.arange(len(mask_BL))[:, None].expand_as(mask_BL)[mask_BL]
    columns = {"old_logp_N": "old_logprob", "advantage_N": "advantages", **names}
    fields: dict[str, Any] = {field: flat(given[name], mask_BL) for field, name in columns.items()}
    fields.setdefault("sampler_logp_N", fields["old_logp_N"])
    return TokenBatch(
        logp_N=flat(given["logprob"], mask_BL),
        turn_N=row_N,
        trajectory_N=row_N,
        group_N=row_N,
        token_N=torch.arange(len(row_N)),
        guided_N=torch.zeros(len(row_N), dtype=torch.bool),
        **fields,
    )


def loss_and_gradient(objective: Objective, batch: TokenBatch, mask_BL: Tensor) -> dict[str, Any]:
    """Return the aggregated loss of a fitted objective, and its gradient in the log-probabilities, padded."""
    with torch.no_grad():
        objective = objective.fit(batch)
    logp_N = batch.logp_N.clone().requires_grad_()
    losses = objective(replace(batch, logp_N=logp_N)).loss_N
    loss = (losses * weights(objective.aggregation, mask_BL)[batch.turn_N]).sum()
    loss.backward()
    gradient_N = torch.zeros_like(logp_N) if logp_N.grad is None else logp_N.grad
    return {"loss": float(loss.detach()), "grad_logprob": padded(gradient_N, mask_BL)}


def weights(aggregation: Aggregation, mask_BL: Tensor) -> Tensor:
    """Return the weight of each row's tokens, shape (B,)."""
    return aggregation.weights(mask_BL.sum(1), torch.arange(len(mask_BL)))


@dataclass(frozen=True)
class Credit:
    """The credit table of a case, whose rows may lie in another order than the case's."""

    turns: TurnTable
    order: NDArray[np.int64]
    """Row of the case of each row of the table."""

    @classmethod
    def of(
        cls,
        group: Sequence[str],
        trajectory: Sequence[str],
        reward: ArrayLike,
        *,
        score: ArrayLike | None = None,
        **columns: ArrayLike,
    ) -> Credit:
        """Tabulate turns that are in time order; `columns` are further ones of the table, such as `valid_R`.

        `score` tells each row its trajectory's return (the first row's counts); without it, returns are
        the sums of the rewards.
        """
        labels = codes(trajectory)
        order = np.argsort(labels, kind="stable")
        trajectory_R, group_R, reward_R = (
            labels[order],
            codes(group)[order],
            np.array(reward, np.float64)[order],
        )
        first_T = np.flatnonzero(np.diff(trajectory_R, prepend=-1))
        count = len(order)
        defaults: dict[str, Any] = {
            "state_R": np.arange(count),
            "valid_R": np.ones(count, np.bool_),
            "tokens_R": np.ones(count, np.int64),
        }
        given: dict[str, Any] = {name: np.array(column)[order] for name, column in columns.items()}
        score_T = np.bincount(trajectory_R, reward_R) if score is None else np.array(score)[order][first_T]
        turns = TurnTable(
            trajectory_R=trajectory_R,
            turn_R=np.arange(count) - first_T[trajectory_R],
            reward_R=reward_R,
            group_T=group_R[first_T],
            score_T=score_T.astype(np.float64),
            **{**defaults, **given},
        )
        return cls(turns, order)

    def back(self, values_R: NDArray[Any]) -> NDArray[Any]:
        """Return values of the table's rows in the order of the case's."""
        restored_R = np.empty_like(values_R)
        restored_R[self.order] = values_R
        return restored_R


def single_turns(reward: Sequence[float], group: Sequence[str], **columns: ArrayLike) -> TurnTable:
    """Return the credit table of trajectories of one turn each."""
    return Credit.of(group, [str(n) for n in range(len(reward))], reward, **columns).turns
