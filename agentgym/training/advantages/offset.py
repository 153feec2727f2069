"""Baselines beside the group's mean, for learning off-policy without ratios (arXiv 2509.24203)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from agentgym.training.advantages.base import GroupBaseline
from agentgym.training.turns import Samples, Values, group_max


class SoftBaseline(GroupBaseline, name="soft_baseline"):
    """Return minus tau log mean exp(R / tau): the soft maximum of the group, the optimum of a KL-regularised
    problem (OPMD). It tends to the mean for large tau and to the best return for small.
    """

    tau: float = Field(default=1.0, gt=0)

    def baseline(self, samples: Samples, length_S: Values) -> Values:
        """Return tau log mean exp(R / tau) of each group, shape (G,)."""
        top_G = group_max(samples.value_S, samples.group_S)
        raised_S = np.exp((samples.value_S - top_G[samples.group_S]) / self.tau)
        mean_G = np.bincount(samples.group_S, raised_S) / np.maximum(samples.size_G, 1)
        soft_G = top_G + self.tau * np.log(np.where(mean_G > 0, mean_G, 1.0))
        return np.where(samples.constant_G, samples.mean_G, soft_G)


class ShiftedMean(GroupBaseline, name="shifted_mean"):
    """Return minus (mean + shift): below the mean, what went well weighs more than what went wrong (AsymRE).

    The shift stays in constant groups: there every turn gets exactly `-shift`.
    """

    shift: float = -0.1

    def baseline(self, samples: Samples, length_S: Values) -> Values:
        """Return mean + shift of each group, shape (G,)."""
        return samples.mean_G + self.shift
