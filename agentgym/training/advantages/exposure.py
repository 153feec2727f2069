"""What a memory showed is luck and no merit: whom rollouts are compared with where it did not show all the same.

Legend: T trajectories, V versions of memory items.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from agentgym.training.turns import Samples, TurnTable, codes

Exposure = Literal["ignore", "equal", "correct"]
"""`ignore`: the whole group is compared. `equal`: only rollouts that were shown the same. `correct`: the whole group,
after what the shown items have done to the scores is taken out."""

RIDGE = 1.0
"""Added to the number of rollouts that tell what an item does: items seen in few move the scores little."""


def fairly_compared(turns: TurnTable, exposure: Exposure) -> TurnTable:
    """Return the table in which statistics of groups and of states are fair to what each trajectory was shown."""
    if exposure == "ignore" or len(set(turns.shown_T)) <= 1:
        return turns
    return among_equals(turns) if exposure == "equal" else corrected(turns)


def among_equals(turns: TurnTable) -> TurnTable:
    """Return the table with its groups, and the turns that stood in one state, split by what was shown."""
    group_T = codes(zip(turns.group_T.tolist(), turns.shown_T, strict=True))
    state_R = codes(zip(group_T[turns.trajectory_R].tolist(), turns.state_R.tolist(), strict=True))
    return replace(turns, group_T=group_T, state_R=state_R)


def corrected(turns: TurnTable) -> TurnTable:
    """Return the table with scores s - (x - mean of the group's x) · b, where x says which items were shown.

    b is the ridge regression of scores on x, both relative to their groups, over the whole batch; co-shown items are
    told apart. Within each group the mean score stays as it is, and a group that was shown the same keeps its scores.
    The reward of a trajectory's last turn changes with its score, so that returns from a turn on are corrected as well.
    """
    versions = sorted(frozenset[str]().union(*turns.shown_T))
    shown_TV = np.array([[version in shown for version in versions] for shown in turns.shown_T], np.float64)
    size_G = np.bincount(turns.group_T)
    mean_GV = np.stack([np.bincount(turns.group_T, column) for column in shown_TV.T], 1) / size_G[:, None]
    relative_TV = shown_TV - mean_GV[turns.group_T]
    samples = Samples.of(turns.score_T, turns.group_T)
    score_T = samples.centred(turns.score_T, samples.mean_G, turns.group_T)
    gram_VV = relative_TV.T @ relative_TV + RIDGE * np.eye(len(versions))
    effect_V = np.linalg.solve(gram_VV, relative_TV.T @ score_T)
    luck_T = relative_TV @ effect_V
    luck_R = np.where(turns.last_R, luck_T[turns.trajectory_R], 0.0)
    return replace(turns, score_T=turns.score_T - luck_T, reward_R=turns.reward_R - luck_R)
