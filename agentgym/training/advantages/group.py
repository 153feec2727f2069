"""Baselines over the group: the rollouts of one task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from agentgym.training.advantages.base import AS_IN_VERL_AGENT, GroupBaseline, inverse_deviation
from agentgym.training.turns import Samples, TurnTable, Values


class GroupMean(GroupBaseline, name="group_mean"):
    """Return minus the mean of the group (Dr.GRPO, arXiv 2503.20783); with `std`, divided by the group's
    standard deviation (GRPO, arXiv 2402.03300).
    """

    std: bool = False
    population: bool = False
    """Divide by the population's deviation (n) instead of the sample's (n - 1)."""
    published = AS_IN_VERL_AGENT

    def baseline(self, samples: Samples, length_S: Values) -> Values:
        """Return the mean of each group, shape (G,)."""
        return samples.mean_G

    def scale(self, samples: Samples, turns: TurnTable) -> Values:
        """Return 1 / deviation of the group, or 1, for each turn, shape (R,)."""
        if not self.std:
            return super().scale(samples, turns)
        return inverse_deviation(samples, self.population)[turns.group_R]


class LeaveOneOut(GroupBaseline, name="leave_one_out"):
    """Return minus the mean of the others in the group (RLOO, arXiv 2402.14740): the baseline is independent of
    the return it is subtracted from, so the gradient's scale does not depend on the size of the group.

    The others of a turn that branches share are those that do not go through it; a turn that all go through gets 0.
    """

    published: ClassVar[Mapping[str, Any]] = {"singleton": "raw"}

    def baseline(self, samples: Samples, length_S: Values) -> Values:
        """Return the mean of each group, shape (G,)."""
        return samples.mean_G

    def scale(self, samples: Samples, turns: TurnTable) -> Values:
        """Return n / (n - 1), which turns the group's mean into the others', shape (R,); n / (n - b) where b
        branches share the turn."""
        size_R = samples.size_G[turns.group_R]
        own_R = turns.branches_R if self.statistics == "trajectory" else np.ones_like(size_R)
        whole_R = np.where(size_R > 1, 0.0, 1.0)
        return np.divide(size_R, size_R - own_R, out=whole_R, where=size_R > own_R)


class LengthWeighted(GroupBaseline, name="length_weighted"):
    """Return minus the group's mean weighted by length, sum len R / sum len: the baseline of least variance where
    a sample's gradient grows with its length (OPO, arXiv 2505.23585).
    """

    published: ClassVar[Mapping[str, Any]] = {"singleton": "raw"}

    def baseline(self, samples: Samples, length_S: Values) -> Values:
        """Return the weighted mean of each group, shape (G,); the plain mean of a group without tokens."""
        length_G = np.bincount(samples.group_S, length_S)
        weighted_G = np.bincount(samples.group_S, length_S * samples.value_S)
        mean_G = np.where(length_G > 0, weighted_G / np.maximum(length_G, 1), samples.mean_G)
        return np.where(samples.constant_G, samples.mean_G, mean_G)
