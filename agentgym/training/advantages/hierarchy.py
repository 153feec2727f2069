"""Baselines over the turns of a group with the same recent history, at several depths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentgym.training.advantages.base import (
    AS_IN_VERL_AGENT,
    Penalised,
    Singleton,
    Statistics,
    normalise,
)
from agentgym.training.advantages.group import GroupMean
from agentgym.training.turns import Indices, Samples, TurnTable, Values, codes


class Hierarchy(Penalised, name="hierarchy"):
    """HGPO (arXiv 2602.22817, eq. 7): the weighted mean of step advantages over turns whose last 1, 2, ..,
    `history` + 1 states agree; longer agreement weighs more, by (k + `first_weight` - 1)^alpha.

    A level exists for a turn where another turn shares its key; a turn without any gets 0, and so does one that
    was replayed. Deviations are
    the population's.
    """

    history: int = Field(default=2, ge=0)
    """K: how many states before the current one may have to agree; best what the agent is shown."""
    alpha: float = Field(default=1.0, ge=0)
    first_weight: float = Field(default=1.0, ge=1)
    """Weight base of the level where only the current state agrees: 1 in the paper, 2 in the released code."""
    base: bool = False
    """Add the episode advantage over the whole group, as a level that every turn has."""
    drop_zeros: bool = False
    """Leave levels of exactly 0 out of the mean. The released code does; but 0 says "as good as the others
    from here", and leaving it out blows up what the other levels say."""
    gamma: float = Field(default=0.95, ge=0, le=1)
    std: bool = True
    statistics: Statistics = "trajectory"
    """Of the base level."""
    singleton: Singleton = "zero"
    """Of the base level."""
    published: ClassVar[Mapping[str, Any]] = {**AS_IN_VERL_AGENT, "first_weight": 2.0, "drop_zeros": True}

    def __call__(self, turns: TurnTable) -> Values:
        """Return the weighted mean of the levels, shape (R,)."""
        charged = self.charged(turns)
        value_R = charged.returns(self.gamma) - self.penalty(turns, "return")
        total_R, weight_R = np.zeros(len(value_R)), np.zeros(len(value_R))
        levels = [
            (level, self._advantage(value_R, turns.chosen(key_R)))
            for level, key_R in enumerate(history_keys(turns, self.history + 1), start=1)
        ]
        if self.base:
            # The penalty on the finished advantage is taken once, below.
            settings = self.model_dump(include=set(GroupMean.model_fields))
            if self.penalty_at == "advantage":
                settings["invalid_action_penalty"] = 0.0
            compared_G = (np.bincount(turns.group_T) > 1) | (self.singleton == "raw")
            levels.append((0, (GroupMean(**settings)(turns), compared_G[turns.group_R])))
        for level, (advantage_R, there_R) in levels:
            counted_R = there_R & (advantage_R != 0) if self.drop_zeros else there_R
            weight = self._weight(level)
            total_R += np.where(counted_R, weight * advantage_R, 0.0)
            weight_R += np.where(counted_R, weight, 0.0)
        mean_R = np.divide(total_R, weight_R, out=np.zeros_like(total_R), where=weight_R > 0)
        return mean_R - self.penalty(turns, "advantage")

    def _weight(self, level: int) -> float:
        # The whole group is the level before the first; in the paper's count it would weigh 0.
        return (self.first_weight + level - 1 if level else 1.0) ** self.alpha

    def _advantage(self, value_R: Values, key_R: Indices) -> tuple[Values, NDArray[np.bool_]]:
        """Return a level's advantages, and for which turns the level exists."""
        reached = np.flatnonzero(key_R >= 0)
        advantage_R, there_R = np.zeros(len(value_R)), np.zeros(len(value_R), np.bool_)
        if len(reached):
            samples = Samples.of(value_R[reached], key_R[reached])
            advantage_R[reached] = normalise(
                value_R[reached], samples, key_R[reached], self.std, population=True
            )
            there_R[reached] = samples.size_G[key_R[reached]] > 1
        return advantage_R, there_R


def history_keys(turns: TurnTable, depth: int) -> list[Indices]:
    """Return, for k = 1..depth, codes that are equal for turns of a group whose last k states are equal.

    Shape (R,) each; -1 where the trajectory has not had k states yet.
    """
    keys = [turns.state_R]
    for length in range(2, depth + 1):
        before = keys[-1]
        old_enough = np.flatnonzero(turns.turn_R >= length - 1)
        key_R = np.full(len(turns.turn_R), -1)
        key_R[old_enough] = codes(
            zip(before[old_enough - 1].tolist(), turns.state_R[old_enough].tolist(), strict=True)
        )
        keys.append(key_R)
    return keys
