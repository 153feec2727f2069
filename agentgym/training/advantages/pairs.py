"""What pairwise losses learn from: which rollouts of a group are compared, and by how much they differ.

Here 0 means: not compared with anything. Only the differences between the values of a group carry meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from agentgym.training.advantages.base import Advantage
from agentgym.training.turns import Indices, Samples, TurnTable, Values, group_max


class Pair(Advantage, name="pair"):
    """Preferred rollouts of a group against rejected ones, for losses over pairs (DPO).

    Preferred are the best of those above the middle between the group's lowest and highest score, rejected
    the worst of those below it, and every preferred one is paired with every rejected one. The value is the
    score minus that middle: positive for preferred, negative for rejected, and the difference of the two
    is the difference of their scores. A group whose scores are all equal has no pair.
    """

    most: int = Field(default=1, ge=1)
    """Most rollouts on either side of a group: 1 compares the best with the worst."""

    def __call__(self, turns: TurnTable) -> Values:
        """Return score - middle for the turns of compared rollouts and 0 for others, shape (R,)."""
        score_T, group_T = turns.score_T, turns.group_T
        middle_G = (group_max(score_T, group_T) - group_max(-score_T, group_T)) / 2
        constant_G = Samples.of(score_T, group_T).constant_G
        margin_T = np.where(constant_G[group_T], 0.0, score_T - middle_G[group_T])
        value_T = np.zeros(len(score_T))
        for side in (1.0, -1.0):
            taken = _leading(side * margin_T, group_T, self.most)
            value_T[taken] = margin_T[taken]
        return value_T[turns.trajectory_R]


class Future(Advantage, name="future"):
    """The rewards that followed the answer at which the rollouts of a group parted (REFUEL).

    Rollouts that had the same states and actions up to some turn part there: their answers to it are compared
    by the rewards from there on. Rollouts that branch from a common start part at the branch, others at
    their first turn. The value is the sum of those rewards, shifted so that the group's lowest is 1. Groups
    in which nothing differs are left out.
    """

    def __call__(self, turns: TurnTable) -> Values:
        """Return the shifted future reward at the turn of parting and 0 elsewhere, shape (R,)."""
        parting = parting_rows(turns)
        future_S, group_S = turns.returns(1.0)[parting], turns.group_R[parting]
        low_G = -group_max(-future_S, group_S)
        compared_S = ~Samples.of(future_S, group_S).constant_G[group_S]
        value_R = np.zeros(len(turns.turn_R))
        value_R[parting[compared_S]] = (future_S - low_G[group_S] + 1.0)[compared_S]
        return value_R


def parting_rows(turns: TurnTable) -> Indices:
    """Return the row of each trajectory's turn at which its group parted: the last one up to which all members
    had the same states and, before it, the same actions. Trajectories without turns have none."""
    first_row = {int(trajectory): row for row, trajectory in reversed(list(enumerate(turns.trajectory_R)))}
    members: dict[int, list[int]] = {}
    for trajectory, row in sorted(first_row.items()):
        members.setdefault(int(turns.group_T[trajectory]), []).append(row)
    parting = [row + _shared_turns(turns, rows) for rows in members.values() for row in rows]
    return np.array(sorted(parting), np.int64)


def _shared_turns(turns: TurnTable, rows: list[int]) -> int:
    """Return how many turns the trajectories that begin at `rows` took alike before they parted."""

    def alike(column: Sequence[object], turn: int) -> bool:
        return not len(column) or len({column[row + turn] for row in rows}) == 1

    shortest = min(int((turns.trajectory_R == turns.trajectory_R[row]).sum()) for row in rows)
    shared = 0
    while (
        shared + 1 < shortest and alike(turns.action_R, shared) and alike(turns.state_R.tolist(), shared + 1)
    ):
        shared += 1
    return shared


def _leading(value_T: Values, group_T: Indices, most: int) -> Indices:
    """Return the trajectories with the `most` highest positive values of each group, the first on a tie."""
    order = np.lexsort((-value_T, group_T))  # stable
    group_S = group_T[order]
    first_S = np.searchsorted(group_S, group_S)
    rank_S = np.arange(len(order)) - first_S
    return order[(rank_S < most) & (value_T[order] > 0)]
