"""Branching: rollouts that share their first turns, so that what differs is what came after."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agentgym.core.trace import Episode
from agentgym.rollout.collect import EpisodePlan, derive_seed
from agentgym.training.parts import Part


class Branching(Part, kind="branching"):
    """Which members of a group are played first, and where the others branch off."""

    @abstractmethod
    def trunks(self, group_size: int) -> int:
        """Return how many members of a group are played from the start."""

    @abstractmethod
    def branch(self, plan: EpisodePlan, trunk: Episode) -> EpisodePlan:
        """Return `plan` with the first turns of `trunk` replayed."""


class NoBranching(Branching, name="none"):
    """Every member is played from the start."""

    def trunks(self, group_size: int) -> int:
        """Return the whole group."""
        return group_size

    def branch(self, plan: EpisodePlan, trunk: Episode) -> EpisodePlan:
        """Return the plan as it is."""
        return plan


class RandomTurn(Branching, name="random_turn"):
    """REFUEL (arXiv 2410.04612): at a random turn of the first member's play the others go their own way.

    Each turn that was the policy's own is as likely. The turns before it are replayed and not trained on, so
    that a member's first trained turn is where it branched off.
    """

    def trunks(self, group_size: int) -> int:
        """Return 1: the member that the others branch off from."""
        return 1

    def branch(self, plan: EpisodePlan, trunk: Episode) -> EpisodePlan:
        """Return the plan with the turns before the branch replayed, in the world that `trunk` was played in."""
        turn = branching_turn(trunk) if trunk.outcome.scored else None
        return plan if turn is None else branch_off(plan, trunk, turn)


def branching_turn(trunk: Episode) -> int | None:
    """Return the turn (from 0) at which a group branches, by the episode's own seed; None without own turns."""
    own = [number for number, turn in enumerate(trunk.turns) if turn.loss_mask.any()]
    random = np.random.default_rng(derive_seed(trunk.seed, "branch"))
    return own[int(random.integers(len(own)))] if own else None


def branch_off(plan: EpisodePlan, trunk: Episode, turn: int) -> EpisodePlan:
    """Return `plan` so that it replays the turns of `trunk` before `turn` and then goes on by its own seed."""
    said: Sequence[tuple[int, ...]] = [tuple(past.completion_ids.tolist()) for past in trunk.turns[:turn]]
    return replace(plan, seed=trunk.seed, agent_seed=plan.seed, prefix=tuple(said))
