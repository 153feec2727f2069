"""Returns and advantages of a group's turns: as training used them or, where a run kept none, worked out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from agentgym.core.trace import Episode
from agentgym.store.lessons import Lesson, split
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
    """The advantage's name; empty where there are no advantages."""
    trained: bool
    """Whether these are the advantages that training used; else they are worked out again by its rule."""
    returns: Mapping[str, Sequence[float]]
    """The rewards from a turn on, discounted as the rule does."""
    advantages: Mapping[str, Sequence[float]]
    """None for episodes without a score, and for those that training left out."""
    lessons: Mapping[str, Sequence[Lesson]]
    """What training made of the episodes, in the order of its iterations."""


class Marks(NamedTuple):
    """What training used of the trained tokens of one completion."""

    advantage_N: NDArray[np.float32]
    ratio_N: NDArray[np.float32]
    clipped_N: NDArray[np.bool_]


def credit_of(group: Sequence[Episode], config: Any, lessons: Mapping[str, Sequence[Lesson]]) -> Credit:
    """Return the credit of a group's turns. `config` is the run's; without a rule in it, returns are not discounted."""
    rule = _rule(config)
    gamma = float(getattr(rule, "gamma", 1.0))
    returns = {episode.id: _returns([turn.reward for turn in episode.turns], gamma) for episode in group}
    if lessons:
        used = {episode: of[0].advantage_R.tolist() for episode, of in lessons.items()}
        return Credit(rule.name if rule else "the recipe's rule", True, returns, used, lessons)
    scored = [episode for episode in group if episode.score is not None and np.isfinite(episode.score)]
    if rule is None or not _in_a_group(rule, config) or not any(episode.turns for episode in scored):
        return Credit("", False, returns, {}, {})
    turns = TurnTable.from_episodes(scored)
    value_R = rule(turns)
    parts = {
        episode.id: [float(value) for value in value_R[turns.trajectory_R == index]]
        for index, episode in enumerate(scored)
    }
    return Credit(rule.name, False, returns, parts, {})


def marks_of(episode: Episode, lesson: Lesson) -> list[list[Marks]]:
    """Return what training used of each completion of each turn."""
    parts = [[int(np.count_nonzero(part.loss_mask)) for part in turn.completions] for turn in episode.turns]
    lengths = [length for turn in parts for length in turn]
    columns = (split(column, lengths) for column in (lesson.advantage_N, lesson.ratio_N, lesson.clipped_N))
    marks = iter([Marks(*each) for each in zip(*columns, strict=True)])
    return [[next(marks) for _ in turn] for turn in parts]


def _rule(config: Any) -> Advantage | None:
    settings = cast("dict[str, Any]", config).get("advantage") if isinstance(config, dict) else None
    if not isinstance(settings, dict):
        return None
    try:
        return Advantage.model_validate(settings)
    except ValueError:  # of another version
        return None


def _in_a_group(rule: Advantage, config: dict[str, Any]) -> bool:
    """Whether the group is all that the rule looked at; rewards that were changed for training are not kept."""
    alone = isinstance(rule, _IN_A_GROUP) and getattr(rule, "exposure", "ignore") != "correct"
    return alone and not config.get("rewards") and not config.get("shaping")


def _returns(rewards: Sequence[float], gamma: float) -> list[float]:
    returns: list[float] = []
    following = 0.0
    for reward in reversed(rewards):
        following = reward + gamma * following
        returns.append(following)
    return returns[::-1]
