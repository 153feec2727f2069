"""Curricula: how much of a task the policy plays while it learns. Evaluations are always of whole episodes.

The temporal curricula of TCOD (arXiv 2604.24005): with n iterations done, front to back lets the policy
play the first k(n) turns; back to front lets an expert play all but the last turns of its solution.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pydantic import Field

from agentgym.training.parts import Part


class Curriculum(Part, kind="curriculum"):
    """Which turns of an episode are the policy's."""

    asks_for_expert: ClassVar[bool] = False
    """Whether `prefix` replays actions of an expert, whom the part's `expert` names."""

    @abstractmethod
    def turn_limit(self, iteration: int, max_turns: int) -> int:
        """Return after how many turns, replayed ones included, an episode of an iteration (from 0) is cut."""

    @abstractmethod
    def prefix(self, iteration: int, length: int) -> int:
        """Return how many actions are replayed of an expert's solution of `length` actions."""


class WholeEpisodes(Curriculum, name="none"):
    """Every turn, from the first iteration on."""

    def turn_limit(self, iteration: int, max_turns: int) -> int:
        """Return the recipe's own limit."""
        return max_turns

    def prefix(self, iteration: int, length: int) -> int:
        """Return 0: nothing is replayed."""
        return 0


class FrontToBack(WholeEpisodes, name="f2b"):
    """TCOD's F2B: from the task's beginning, for one more turn every `every` iterations."""

    every: int = Field(default=6, ge=1)
    """The paper's eta: 6 on ALFWorld and ScienceWorld, 4 on WebShop."""

    def turn_limit(self, iteration: int, max_turns: int) -> int:
        """Return min(1 + iteration // every, max_turns)."""
        return min(1 + iteration // self.every, max_turns)


class BackToFront(WholeEpisodes, name="b2f"):
    """TCOD's B2F: an expert's solution up to its last action, and one action less every `every` iterations.

    Where the expert has no solution of a task, the episode is played whole.
    """

    every: int = Field(default=5, ge=1)
    """The paper's eta: 5 on ALFWorld and ScienceWorld."""
    expert: str = "oracle"
    """`oracle`: the environment's own; else the directory of a run, whose solved train tasks are then the
    only ones played."""
    asks_for_expert = True

    def prefix(self, iteration: int, length: int) -> int:
        """Return max(0, length - 1 - iteration // every)."""
        return max(0, length - 1 - iteration // self.every)
