"""When a rollout splits in two: where the policy became less sure than it was at the beginning."""

from __future__ import annotations


def branch_probability(entropy_change: float, *, base: float = 0.5, weight: float = 0.2) -> float:
    """Return the probability of branching after a turn, 0..1: base + weight x change (ARPO, arXiv 2507.19849).

    `entropy_change` is the entropy of the latest tokens minus that of the rollout's first ones, both as shares of
    the largest possible one.

    >>> round(branch_probability(0.3), 2)
    0.56
    """
    return min(max(base + weight * entropy_change, 0.0), 1.0)
