"""The kind "advantage", and the statistics that estimators share.

Rules that published code leaves to chance are settings here:

- a group whose values are all equal gets exactly 0, whatever the floating-point noise;
- a group of one gets 0 (`singleton="zero"`: nothing to compare with), or its raw value as verl does;
- episode statistics count each trajectory once (`statistics="trajectory"`), or once per turn as
  verl-agent does, which biases the baseline towards long, mostly failing trajectories.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import numpy as np
from pydantic import Field

from agentgym.training.parts import Part
from agentgym.training.turns import Indices, TurnTable, Values, group_max

Singleton = Literal["zero", "raw"]
Statistics = Literal["trajectory", "turn"]

EPSILON = 1e-6
"""Added to the standard deviation, as in verl."""


AS_IN_VERL_AGENT = {"statistics": "turn", "singleton": "raw", "penalty_in_statistics": True}
"""How verl-agent's released code sets the rules above."""


class Advantage(Part, kind="advantage"):
    """How good each turn was."""

    @abstractmethod
    def __call__(self, turns: TurnTable) -> Values:
        """Return the advantage of each turn, shape (R,)."""


class Penalised(Advantage):
    """An advantage that makes invalid actions pay. The penalty stays with its turn: earlier ones do not see it."""

    invalid_action_penalty: float = Field(default=0.0, ge=0)
    """What a turn with an invalid action loses."""
    penalty_in_statistics: bool = False
    """False: the penalty is subtracted from the finished advantage. True, as verl-agent does: from the
    reward, before the statistics; in a group that always fails the division by the deviation then blows
    it up to the size of a success."""

    def penalty(self, turns: TurnTable, in_statistics: bool) -> Values:
        """Return what each turn loses at this point of the computation, shape (R,)."""
        here = self.invalid_action_penalty if in_statistics == self.penalty_in_statistics else 0.0
        return here * (~turns.valid_R).astype(np.float64)


def normalise(
    value_R: Values,
    sample_S: Values,
    group_R: Indices,
    group_S: Indices,
    std: bool,
    singleton: Singleton,
) -> Values:
    """Centre `value_R` on the mean of its group's samples; with `std`, divide by their sample deviation.

    `sample_S` with groups `group_S` are what the statistics are taken over; they may be the values
    themselves. A constant group gives deviations of exactly 0 for values equal to the constant.
    """
    size_G = np.bincount(group_S).astype(np.float64)
    low_G, high_G = -group_max(-sample_S, group_S), group_max(sample_S, group_S)
    constant_G = low_G == high_G
    mean_G = np.where(constant_G, low_G, np.bincount(group_S, sample_S) / np.maximum(size_G, 1))
    centred_R = value_R - mean_G[group_R]
    if std:
        square_S = (sample_S - mean_G[group_S]) ** 2
        deviation_G = np.sqrt(np.bincount(group_S, square_S) / np.maximum(size_G - 1, 1))
        # In a constant group only penalties deviate; 1 keeps them at their own size.
        centred_R = centred_R / np.where(constant_G, 1.0, deviation_G + EPSILON)[group_R]
    alone_R = (size_G == 1)[group_R]
    return np.where(alone_R, value_R if singleton == "raw" else 0.0, centred_R)
