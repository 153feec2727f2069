"""The kind "advantage", and the statistics that estimators share.

Rules that published code leaves to chance are settings here:

- a group whose values are all equal gets exactly 0, whatever the floating-point noise;
- a group of one gets 0 (`singleton="zero"`: nothing to compare with), or its raw value as verl does;
- episode statistics count each trajectory once (`statistics="trajectory"`), or once per turn as
  verl-agent does, which biases the baseline towards long, mostly failing trajectories; verl-agent's other
  setting lets the first turn, with the penalty on it, stand for the trajectory (`statistics="first_turn"`);
- an invalid action is paid for by its turn alone (`penalty_at`), or before the statistics, or before discounting.

How much a turn weighs in the loss, 1 or 1/T, is not decided here but by the aggregation: `turn_mean` and
`token_mean` give every turn its own weight, `rollout_mean` divides by the length of its trajectory.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agentgym.training.parts import Part
from agentgym.training.turns import Indices, Samples, TurnTable, Values

Singleton = Literal["zero", "raw"]
Statistics = Literal["trajectory", "turn", "first_turn"]
PenaltyPlace = Literal["advantage", "return", "reward"]

EPSILON = 1e-6
"""Added to the standard deviation, as in verl."""

AS_IN_VERL_AGENT = {"statistics": "turn", "singleton": "raw", "penalty_at": "return"}
"""How verl-agent's released code sets the rules above."""


class Advantage(Part, kind="advantage"):
    """How good each turn was."""

    judged: ClassVar[tuple[str, ...]] = ()
    """What a critic must judge for it: of "value" and "quality"."""
    asks_for_drift: ClassVar[bool] = False
    """Whether it reads `TurnTable.drift_T`, which costs a forward pass over the plays named in `last_played`."""

    @abstractmethod
    def __call__(self, turns: TurnTable) -> Values:
        """Return the advantage of each turn, shape (R,). Called once per iteration by the trainer."""

    @property
    def last_played(self) -> Mapping[str, str]:
        """The id of each task's last episode, by task id, where it asks for the drift since."""
        return {}


class Penalised(Advantage):
    """An advantage that makes invalid actions pay."""

    invalid_action_penalty: float = Field(default=0.0, ge=0)
    """What a turn with an invalid action loses."""
    penalty_at: PenaltyPlace = "advantage"
    """`advantage`: the finished advantage of the turn. `return`, as verl-agent does: the turn's return, after
    discounting and before the statistics; in a group that always fails, the division by the deviation then
    blows it up to the size of a success. `reward`: the turn's reward, before discounting, so that earlier
    turns of the trajectory pay as well."""

    def charged(self, turns: TurnTable) -> TurnTable:
        """Return the table with the penalty in the rewards, where it belongs there."""
        if self.penalty_at != "reward" or not self.invalid_action_penalty:
            return turns
        penalty_R = self.penalty(turns, "reward")
        penalty_T = np.bincount(turns.trajectory_R, penalty_R, len(turns.score_T))
        return replace(turns, reward_R=turns.reward_R - penalty_R, score_T=turns.score_T - penalty_T)

    def penalty(self, turns: TurnTable, at: PenaltyPlace) -> Values:
        """Return what each turn loses at this point of the computation, shape (R,)."""
        here = self.invalid_action_penalty if at == self.penalty_at else 0.0
        return here * (~turns.valid_R).astype(np.float64)


class GroupBaseline(Penalised):
    """The trajectory's return minus a baseline of its group, times a scale of the group."""

    statistics: Statistics = "trajectory"
    """Whether the group's statistics count trajectories, turns, or first turns (as their own penalties leave them)."""
    singleton: Singleton = "zero"
    """What a group of one gets."""

    @abstractmethod
    def baseline(self, samples: Samples, length_S: Values) -> Values:
        """Return the baseline of each group, shape (G,); `length_S` counts the samples' trained tokens."""

    def scale(self, samples: Samples, turns: TurnTable) -> Values:
        """Return the factor of each turn, shape (R,)."""
        return np.ones(len(turns.turn_R))

    def __call__(self, turns: TurnTable) -> Values:
        """Return scale x (return - baseline) for each turn, shape (R,)."""
        turns = self.charged(turns)
        score_R, group_R = turns.score_R - self.penalty(turns, "return"), turns.group_R
        if self.statistics == "trajectory":
            samples, length_S = Samples.of(turns.score_T, turns.group_T), turns.tokens_T
        else:
            counted_R = (turns.turn_R == 0) | (self.statistics == "turn")
            samples, length_S = Samples.of(score_R[counted_R], group_R[counted_R]), turns.tokens_R[counted_R]
        baseline_G = self.baseline(samples, length_S.astype(np.float64))
        compared_R = samples.centred(score_R, baseline_G, group_R)
        alone_R = (samples.size_G == 1)[group_R]
        value_R = np.where(alone_R, score_R if self.singleton == "raw" else 0.0, compared_R)
        return value_R * self.scale(samples, turns) - self.penalty(turns, "advantage")


def normalise(
    value_R: Values, samples: Samples, group_R: Indices, std: bool, population: bool = False
) -> Values:
    """Centre `value_R` on the mean of its group's samples; with `std`, divide by their deviation.

    A group of one is constant, and what a constant group's own values get is exactly 0.
    """
    centred_R = samples.centred(value_R, samples.mean_G, group_R)
    return centred_R * inverse_deviation(samples, population)[group_R] if std else centred_R


def inverse_deviation(samples: Samples, population: bool = False) -> Values:
    """Return 1 / (deviation + 1e-6) of each group, shape (G,); 1 for constant ones, where only penalties deviate
    and keep their own size."""
    return np.where(samples.constant_G, 1.0, 1.0 / (samples.deviation(population) + EPSILON))
