"""Returns and advantages of a group's turns, worked out again from what is kept by the rule that the run trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from agentgym.core.trace import Episode
from agentgym.training.advantages.base import Advantage, GroupBaseline
from agentgym.training.advantages.hierarchy import Hierarchy
from agentgym.training.advantages.step import StepGroup
from agentgym.training.turns import TurnTable

_IN_A_GROUP = (GroupBaseline, StepGroup, Hierarchy)
"""Rules that look at nothing but the group, so that the group is all one needs."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What turns earned, by episode id and position."""

    rule: str
    """The advantage's name; empty where it cannot be worked out from a group."""
    returns: Mapping[str, Sequence[float]]
    """The rewards from a turn on, discounted as the rule does."""
    advantages: Mapping[str, Sequence[float]]
    """None for episodes without a score."""


def credit_of(group: Sequence[Episode], config: Any) -> Credit:
    """Return the credit of a group's turns. `config` is the run's; without a rule in it, returns are not discounted."""
    rule = _rule(config)
    gamma = float(getattr(rule, "gamma", 1.0))
    returns = {episode.id: _returns([turn.reward for turn in episode.turns], gamma) for episode in group}
    scored = [episode for episode in group if episode.score is not None and np.isfinite(episode.score)]
    if rule is None or not any(episode.turns for episode in scored):
        return Credit("", returns, {})
    turns = TurnTable.from_episodes(scored)
    value_R = rule(turns)
    parts = {
        episode.id: [float(value) for value in value_R[turns.trajectory_R == index]]
        for index, episode in enumerate(scored)
    }
    return Credit(rule.name, returns, parts)


def _rule(config: Any) -> Advantage | None:
    if not isinstance(config, dict):
        return None
    recipe = cast("dict[str, Any]", config)
    settings = recipe.get("advantage")
    if not isinstance(settings, dict) or recipe.get("rewards") or recipe.get("shaping"):
        return None  # rewards that were changed for training are not kept
    try:
        rule = Advantage.model_validate(settings)
    except ValueError:  # of another version
        return None
    alone = isinstance(rule, _IN_A_GROUP) and getattr(rule, "exposure", "ignore") != "correct"
    return rule if alone else None


def _returns(rewards: Sequence[float], gamma: float) -> list[float]:
    returns: list[float] = []
    following = 0.0
    for reward in reversed(rewards):
        following = reward + gamma * following
        returns.append(following)
    return returns[::-1]
