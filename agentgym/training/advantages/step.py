"""Baselines over the turns of a group that stood in the same state."""

from __future__ import annotations

from pydantic import Field

from agentgym.training.advantages.base import AS_IN_VERL_AGENT, Penalised, Singleton, Statistics, normalise
from agentgym.training.advantages.group import GroupMean
from agentgym.training.turns import TurnTable, Values


class StepGroup(Penalised, name="step_group"):
    """GiGPO (arXiv 2505.10978, eqs. 3-8): an episode advantage over the group plus `weight` times a step
    advantage over the turns of the group that stood in the same state.

    The step advantage compares discounted returns; a state visited once gets 0.
    """

    weight: float = Field(default=1.0, ge=0)
    gamma: float = Field(default=0.95, ge=0, le=1)
    std: bool = True
    statistics: Statistics = "trajectory"
    singleton: Singleton = "zero"
    published = AS_IN_VERL_AGENT

    def __call__(self, turns: TurnTable) -> Values:
        """Return episode advantage + weight x step advantage, shape (R,)."""
        shared = self.model_dump(exclude={"name", "weight", "gamma"})
        value_R = turns.returns(self.gamma) - self.penalty(turns, in_statistics=True)
        step_R = normalise(value_R, value_R, turns.state_R, turns.state_R, self.std, "zero")
        return GroupMean(**shared)(turns) + self.weight * step_R
