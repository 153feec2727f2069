"""The kind "reward"."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from agentgym.training.parts import Part
from agentgym.training.turns import TurnTable, Values


class Reward(Part, kind="reward"):
    """Changes rewards. Several apply one after another."""

    @abstractmethod
    def __call__(self, turns: TurnTable) -> TurnTable:
        """Return the table with its rewards changed."""


def with_outcome_bonus(turns: TurnTable, bonus_T: Values) -> TurnTable:
    """Return the table with a bonus added to each trajectory's score and to the reward of its last turn."""
    bonus_R = turns.last_R * bonus_T[turns.trajectory_R]
    return replace(turns, reward_R=turns.reward_R + bonus_R, score_T=turns.score_T + bonus_T)
