"""Baselines over the group: the rollouts of one task."""

from __future__ import annotations

from agentgym.training.advantages.base import AS_IN_VERL_AGENT, Penalised, Singleton, Statistics, normalise
from agentgym.training.turns import TurnTable, Values


class GroupMean(Penalised, name="group_mean"):
    """Return minus the mean of the group (Dr.GRPO, arXiv 2503.20783); with `std`, divided by its sample
    standard deviation (GRPO, arXiv 2402.03300).
    """

    std: bool = False
    statistics: Statistics = "trajectory"
    singleton: Singleton = "zero"
    published = AS_IN_VERL_AGENT

    def __call__(self, turns: TurnTable) -> Values:
        """Return (S - mean) / std over the group of each turn's trajectory, shape (R,)."""
        score_R = turns.score_R - self.penalty(turns, in_statistics=True)
        if self.statistics == "turn":
            sample_S, group_S = score_R, turns.group_R
        else:
            sample_S, group_S = turns.score_T, turns.group_T
        advantage_R = normalise(score_R, sample_S, turns.group_R, group_S, self.std, self.singleton)
        return advantage_R - self.penalty(turns, in_statistics=False)
