"""What reward a rollout could be expected to have: how hard its task is, learned from every rollout but itself."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from agentgym.memory.credit.evidence import Rollout


def baselines(rollouts: Sequence[Rollout]) -> list[float | None]:
    """Return the expected reward of each rollout; None where nothing is there to expect it from.

    It is w · (mean of the group's other rollouts) + (1 - w) · (mean, over its candidates, of the rewards in other
    groups that had the candidate): a group of few says little of its task, and tasks for which the same items are
    found are alike. The weight w = τ² / (τ² + σ²/(G-1)) is that of credibility theory (Bühlmann 1967), with σ² the
    variance within groups and τ² that of group means around the second mean beyond σ²/G, both by moments over all
    rollouts. Where groups are constant and differ, w is 1, and the second mean adds no noise.

    No baseline depends on what its own rollout was shown, but for the rollout's part in σ² and τ², which vanishes
    as groups grow in number.
    """
    members: defaultdict[str, list[int]] = defaultdict(list)
    for index, rollout in enumerate(rollouts):
        members[rollout.group].append(index)
    rewards = {group: [rollouts[index].reward for index in own] for group, own in members.items()}
    alike = _alike(rollouts, rewards)
    within, between = _variances(rewards, alike)
    expected: list[float | None] = [None] * len(rollouts)
    for group, own in members.items():
        total, others = math.fsum(rewards[group]), len(own) - 1
        for index in own:
            if not others:
                expected[index] = alike.get(group)
                continue
            mean = (total - rollouts[index].reward) / others
            noise = within / others
            weight = between / (between + noise) if group in alike and between + noise > 0 else 1.0
            expected[index] = weight * mean + (1 - weight) * alike.get(group, mean)
    return expected


def _alike(rollouts: Sequence[Rollout], rewards: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the mean reward of the other groups that had a group's candidates, for groups that share any."""
    all_of: defaultdict[str, list[float]] = defaultdict(list)
    here: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for rollout in rollouts:
        for exposure in rollout.exposures:
            all_of[exposure.version].append(rollout.reward)
            here[rollout.group][exposure.version].append(rollout.reward)
    totals = {version: math.fsum(values) for version, values in all_of.items()}
    found: dict[str, float] = {}
    for group in rewards:
        elsewhere = [
            (totals[version] - math.fsum(own)) / (len(all_of[version]) - len(own))
            for version, own in here[group].items()
            if len(all_of[version]) > len(own)
        ]
        if elsewhere:
            found[group] = math.fsum(elsewhere) / len(elsewhere)
    return found


def _variances(rewards: Mapping[str, Sequence[float]], alike: Mapping[str, float]) -> tuple[float, float]:
    """Return the variance within groups, and that of their true means around what is expected of them."""
    means = {group: math.fsum(own) / len(own) for group, own in rewards.items()}
    square = math.fsum((reward - means[group]) ** 2 for group, own in rewards.items() for reward in own)
    freedom = sum(len(own) - 1 for own in rewards.values())
    within = square / freedom if freedom else 0.0
    if not alike:
        return within, 0.0
    beyond = ((means[group] - mean) ** 2 - within / len(rewards[group]) for group, mean in alike.items())
    return within, max(0.0, math.fsum(beyond) / len(alike))
