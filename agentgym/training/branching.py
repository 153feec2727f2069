"""Branching: rollouts that share their first turns, so that what differs is what came after.

A group is played in rounds: first its trunks, from the start; then, as long as members are left, branches off what
has been played. What a branch shares with its trunk is trained on there, with the mean of what became of them all
(see `TurnTable.over_branches`).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from pydantic import Field

from agentgym.core.trace import Episode
from agentgym.rollout.branching import branch_probability
from agentgym.rollout.collect import EpisodePlan, derive_seed
from agentgym.rollout.forks import branch_off, forkable
from agentgym.rollout.start import Stop
from agentgym.training.parts import Part


class Played(NamedTuple):
    """An episode, and the states on its way."""

    episode: Episode
    trail: Sequence[Stop]


class Fork(NamedTuple):
    """A place to branch off: a member of the group, by its place, and a turn of it."""

    turn: int
    member: int


class Branching(Part, kind="branching"):
    """Which members of a group are played first, and where the others branch off."""

    @abstractmethod
    def trunks(self, group_size: int) -> int:
        """Return how many members of a group are played from the start before any branches off."""

    @abstractmethod
    def forks(self, group: Sequence[Played], wanted: int, vocabulary: int, seed: int) -> Sequence[Fork]:
        """Return where to branch off what has been played of a group, at most `wanted` branches in their order.

        None: the members that are left are played from the start. A policy chooses each token among `vocabulary`.
        """


def grow(
    branching: Branching, group: Sequence[Played], waiting: Sequence[EpisodePlan], vocabulary: int
) -> list[EpisodePlan]:
    """Return what to play next of the members of a group that are `waiting`: the first of them as branches, or all
    of them as they are where nothing is to be branched off."""
    if not waiting:
        return []
    forks = branching.forks(group, len(waiting), vocabulary, waiting[0].seed)
    if not forks:
        return list(waiting)
    return [
        branch_off(plan, group[fork.member].episode, fork.turn, group[fork.member].trail)
        for plan, fork in zip(waiting, forks, strict=False)
    ]


class NoBranching(Branching, name="none"):
    """Every member is played from the start."""

    def trunks(self, group_size: int) -> int:
        """Return the whole group."""
        return group_size

    def forks(self, group: Sequence[Played], wanted: int, vocabulary: int, seed: int) -> Sequence[Fork]:
        """Return nothing."""
        return []


class RandomTurn(Branching, name="random_turn"):
    """REFUEL (arXiv 2410.04612): at a random turn of the first member's play the others go their own way.

    Each turn that was the policy's own is as likely, so that a member's first trained turn is where it branched off.
    """

    def trunks(self, group_size: int) -> int:
        """Return 1: the member that the others branch off from."""
        return 1

    def forks(self, group: Sequence[Played], wanted: int, vocabulary: int, seed: int) -> Sequence[Fork]:
        """Return the same turn for all."""
        trunk = group[0].episode
        turn = branching_turn(trunk) if trunk.outcome.scored else None
        return [] if turn is None else [Fork(turn, 0)] * wanted


class FromTrunks(Branching):
    """A share of the members is played from the start, the others branch off them and off each other."""

    initial: float = Field(default=0.5, gt=0, lt=1)
    """Share of the group that is played from the start: at least one member, and not all."""

    def trunks(self, group_size: int) -> int:
        """Return `initial` x the group's size, rounded."""
        return min(max(round(self.initial * group_size), 1), max(group_size - 1, 1))


class EntropyRise(FromTrunks, name="entropy"):
    """ARPO (arXiv 2507.19849, section 3.1): at each later turn of what has been played others branch off with
    probability base + weight x dH, first turns first, until the group is full.

    dH is how much less sure the policy was at the beginning of the turn's answer than at the beginning of its first
    one: the entropy of the first `tokens` tokens, summed, over the logarithm of the vocabulary. Branches are branched
    again; where no turn is drawn, the members that are left are played from the start.

    The entropy is estimated by -log p of the tokens that were sampled, whose expectation it is: the probability of
    branching, linear in it, is right on average, and any policy that reports log-probabilities will do. The released
    code takes the ten likeliest tokens at each place.
    """

    base: float = Field(default=0.5, ge=0, le=1)
    """Probability of branching where the policy is as sure as at first."""
    weight: float = Field(default=0.2, ge=0)
    beam: int = Field(default=2, ge=2)
    """A turn has at most `beam` - 1 branches."""
    tokens: int = Field(default=20, ge=1)
    """At the beginning of an answer."""

    def forks(self, group: Sequence[Played], wanted: int, vocabulary: int, seed: int) -> Sequence[Fork]:
        """Return the turns that want to branch and have not yet, the first turns first."""
        made = {(e.origin.episode, e.origin.turn) for e, _ in group if e.origin is not None}
        open_ = [fork for fork in own_turns(group) if (group[fork.member].episode.id, fork.turn) not in made]
        return list(islice(self._branches(group, sorted(open_), vocabulary), wanted))

    def probability(self, episode: Episode, turn: int, vocabulary: int) -> float:
        """Return the probability of branching at a turn, 0..1."""
        # A turn that was dictated has log-probabilities of 0: it does not say how sure the policy is.
        own = (number for number, past in enumerate(episode.turns) if past.logprobs.any())
        first, now = (self._entropy(episode, n) / math.log(vocabulary) for n in (next(own, 0), turn))
        return branch_probability(now - first, base=self.base, weight=self.weight)

    def _entropy(self, episode: Episode, turn: int) -> float:
        return -float(episode.turns[turn].logprobs[: self.tokens].sum(dtype=np.float64))

    def _branches(self, group: Sequence[Played], forks: Sequence[Fork], vocabulary: int) -> Iterator[Fork]:
        for fork in forks:
            episode = group[fork.member].episode
            # By the names alone, so that a turn that was asked before answers the same.
            draws = np.random.default_rng(derive_seed(episode.seed, episode.id, fork.turn, "branch"))
            wants = draws.random(self.beam - 1) < self.probability(episode, fork.turn, vocabulary)
            yield from [fork] * int(wants.sum())


class LoneSteps(FromTrunks, name="lone_steps"):
    """Dense step groups: branches off where a state was met by one member only, so that a step advantage (GiGPO's)
    has something to compare with there. Which of those states is drawn at random, each at most once.

    A member's first turn in the state is branched off: that it is the first one does not depend on what was done there.
    So where there are branches enough for all lone states, both answers are fair draws from the policy.
    """

    def forks(self, group: Sequence[Played], wanted: int, vocabulary: int, seed: int) -> Sequence[Fork]:
        """Return first turns in states that one member has met."""
        first = dict[str, dict[int, Fork]]()
        for fork in own_turns(group, since=0):
            key = group[fork.member].episode.turns[fork.turn].state_key
            first.setdefault(key, {}).setdefault(fork.member, fork)
        lone = [fork for met in first.values() if len(met) == 1 for fork in met.values() if fork.turn > 0]
        order = np.random.default_rng(derive_seed(seed, "lone steps")).permutation(len(lone))
        return [lone[int(place)] for place in order[:wanted]]


def own_turns(group: Sequence[Played], since: int = 1) -> list[Fork]:
    """Return the turns that were the policy's own choice in scored episodes and can be forked at, member by member; of
    a branch, those `since` so many turns after it left its trunk, and of others after their first one."""
    return [
        Fork(number, member)
        for member, (episode, _) in enumerate(group)
        if episode.outcome.scored
        for number, turn in enumerate(episode.turns[: forkable(episode)])
        if turn.loss_mask.any() and number >= since + (episode.origin.turn if episode.origin else 0)
    ]


def branching_turn(trunk: Episode) -> int | None:
    """Return the turn (from 0) at which a group branches, by the episode's own seed; None without own turns."""
    own = [number for number, turn in enumerate(trunk.turns[: forkable(trunk)]) if turn.loss_mask.any()]
    random = np.random.default_rng(derive_seed(trunk.seed, "branch"))
    return own[int(random.integers(len(own)))] if own else None
