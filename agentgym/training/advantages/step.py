"""Baselines over the turns of a group that stood in the same state."""

from __future__ import annotations

from pydantic import Field

from agentgym.core.errors import UsageError
from agentgym.training.advantages.base import AS_IN_VERL_AGENT, Penalised, Singleton, Statistics, normalise
from agentgym.training.advantages.group import GroupMean
from agentgym.training.advantages.similarity import similar_states
from agentgym.training.turns import Indices, Samples, TurnTable, Values


class StepGroup(Penalised, name="step_group"):
    """GiGPO (arXiv 2505.10978, eqs. 3-8): an episode advantage over the group plus `weight` times a step
    advantage over the turns of the group that stood in the same state.

    The step advantage compares discounted returns; a state visited once gets 0, and
    replayed turns are compared with none. Several visits in one
    trajectory all count.
    """

    weight: float = Field(default=1.0, ge=0)
    gamma: float = Field(default=0.95, ge=0, le=1)
    std: bool = True
    similarity: float = Field(default=1.0, gt=0, le=1)
    """1: states are the same if their keys are equal. Below 1: if their observations read alike by so much."""
    statistics: Statistics = "trajectory"
    singleton: Singleton = "zero"
    published = AS_IN_VERL_AGENT

    def __call__(self, turns: TurnTable) -> Values:
        """Return episode advantage + weight x step advantage, shape (R,)."""
        episode = GroupMean(**self.model_dump(include=set(GroupMean.model_fields)))
        charged = self.charged(turns)
        value_R = charged.returns(self.gamma) - self.penalty(turns, "return")
        state_R = self.states(turns)
        step_R = normalise(value_R, Samples.of(value_R, state_R), state_R, self.std)
        return episode(turns) + self.weight * step_R

    def states(self, turns: TurnTable) -> Indices:
        """Return the code of each turn's step group, by first appearance, shape (R,)."""
        if self.similarity == 1:
            return turns.chosen(turns.state_R)
        if len(turns.text_R) != len(turns.turn_R):
            raise UsageError(
                "`advantage.similarity` compares the texts of observations, and this TurnTable has none; "
                "fill its `text_R`, or set the similarity to 1."
            )
        return turns.chosen(similar_states(turns.text_R, turns.group_R, self.similarity))
