"""Made-up rollouts whose lifts are known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agentgym.memory.credit.evidence import Exposure, Rollout


def play(
    lifts: Mapping[str, float],
    *,
    groups: int,
    size: int = 8,
    seed: int = 0,
    probability: float = 0.5,
    base: tuple[float, float] = (0.3, 0.7),
) -> list[Rollout]:
    """Return rollouts of groups whose base rate lies between two bounds; every item is a candidate everywhere."""
    rng, rollouts = np.random.default_rng(seed), list[Rollout]()
    for group in range(groups):
        rate = rng.uniform(*base)
        for _ in range(size):
            exposures = tuple(Exposure(name, probability, bool(rng.random() < probability)) for name in lifts)
            chance = rate + sum(lifts[each.version] for each in exposures if each.shown)
            rollouts.append(Rollout(f"g{group}", float(rng.random() < chance), exposures))
    return rollouts


def confounded(*, groups: int, seed: int = 0) -> list[Rollout]:
    """Return rollouts with a helpful item that is found for hard tasks, and a harmful one found for easy tasks."""
    hard = play({"helps": 0.15}, groups=groups, seed=seed, base=(0.1, 0.2))
    easy = play({"harms": -0.15}, groups=groups, seed=seed + 1, base=(0.8, 0.9))
    renamed = [Rollout(f"easy-{each.group}", each.reward, each.exposures) for each in easy]
    return [*hard, *renamed]
