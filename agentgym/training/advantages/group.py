"""Baselines over the group: the rollouts of one task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from agentgym.training.advantages.base import AS_IN_VERL_AGENT, GroupBaseline, inverse_deviation
from agentgym.training.turns import Samples, Values


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

    def scale(self, samples: Samples) -> Values:
        """Return 1 / deviation, or 1, for each group, shape (G,)."""
        return inverse_deviation(samples, self.population) if self.std else super().scale(samples)


class LeaveOneOut(GroupBaseline, name="leave_one_out"):
    """Return minus the mean of the others in the group (RLOO, arXiv 2402.14740): the baseline is independent of
    the return it is subtracted from, so the gradient's scale does not depend on the size of the group.
    """

    published: ClassVar[Mapping[str, Any]] = {"singleton": "raw"}

    def baseline(self, samples: Samples, length_S: Values) -> Values:
        """Return the mean of each group, shape (G,)."""
        return samples.mean_G

    def scale(self, samples: Samples) -> Values:
        """Return n / (n - 1), which turns the group's mean into the others', shape (G,)."""
        return np.where(samples.size_G > 1, samples.size_G / np.maximum(samples.size_G - 1, 1), 1.0)


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
