"""The credit table: what group-relative credit needs to know of a batch of rollouts, one row per turn.

Legend: R turns (rows), T trajectories, G groups. All statistics are in float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentgym.core.errors import UsageError
from agentgym.core.trace import Episode

Values: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TurnTable:
    """One row per turn; rows of a trajectory are contiguous and in time order."""

    trajectory_R: Indices
    """Index of the trajectory, 0..T-1, in order of first appearance."""
    turn_R: Indices
    """Position of the turn in its trajectory, from 0."""
    state_R: Indices
    """Code of (group, state key): equal exactly for equal states in the same group."""
    reward_R: Values
    """What the turn's action earned."""
    valid_R: NDArray[np.bool_]
    """Whether the action was well formed and applicable."""
    tokens_R: Indices
    """Number of trained tokens."""
    group_T: Indices
    """Index of the group, 0..G-1."""
    score_T: Values
    """The trajectory's return: the undiscounted sum of its rewards."""
    text_R: Sequence[str] = ()
    """The observation as text, for grouping by similarity."""
    action_R: Sequence[str] = ()
    """The action as text."""
    replayed_R: NDArray[np.bool_] | None = None
    """Whether the action was not the policy's choice; None: nowhere."""
    task_T: Sequence[str] = ()
    """Id of the trajectory's task."""
    episode_T: Sequence[str] = ()
    """Id of the trajectory's episode."""
    value_R: Values | None = None
    """How good the critic holds the state of each turn to be; present if the recipe has a critic."""
    quality_R: Values | None = None
    """How good it holds the turn's answer to be; present if the critic judges answers."""
    decision_R: Indices | None = None
    """Code of the decision that each turn records: equal for the turns that branches share with their trunk. None:
    every turn is a decision of its own."""
    drift_T: Values | None = None
    """How far the policy has moved since the task was played before this batch: the mean absolute change, in
    nats, of the log-probabilities of the tokens sampled then; 0 where there is no such play."""
    shown_T: Sequence[frozenset[str]] = ()
    """The memory items that each trajectory began with."""

    @classmethod
    def from_episodes(cls, episodes: Sequence[Episode]) -> TurnTable:
        """Tabulate scored episodes; raises `UsageError` for one without a score."""
        unscored = [episode.id for episode in episodes if episode.score is None]
        if unscored:
            raise UsageError(
                f"Episodes without a score ({', '.join(unscored[:3])}) cannot be credited; "
                "leave out those whose outcome is not `scored`."
            )
        turns = [(t, n, turn) for t, episode in enumerate(episodes) for n, turn in enumerate(episode.turns)]
        group_T = codes(episode.group_id for episode in episodes)
        return cls(
            trajectory_R=np.array([t for t, _, _ in turns], np.int64),
            turn_R=np.array([n for _, n, _ in turns], np.int64),
            state_R=codes((int(group_T[t]), turn.state_key) for t, _, turn in turns),
            reward_R=np.array([turn.reward for _, _, turn in turns], np.float64),
            valid_R=np.array([turn.valid for _, _, turn in turns], np.bool_),
            tokens_R=np.array([turn.trained_tokens for _, _, turn in turns], np.int64),
            group_T=group_T,
            score_T=np.array([episode.score for episode in episodes], np.float64),
            text_R=[str(turn.observation) for _, _, turn in turns],
            action_R=[str(turn.action) for _, _, turn in turns],
            replayed_R=np.array([turn.replayed for _, _, turn in turns], np.bool_),
            task_T=[episode.task.id for episode in episodes],
            episode_T=[episode.id for episode in episodes],
            decision_R=_decisions(episodes),
            shown_T=[frozenset(v for turn in e.turns[:1] for v in turn.shown_items) for e in episodes],
        )

    @property
    def group_R(self) -> Indices:
        """Group of each turn."""
        return self.group_T[self.trajectory_R]

    @property
    def score_R(self) -> Values:
        """Return of each turn's trajectory; of a turn that branches share, the mean over their trajectories."""
        return self.over_branches(self.score_T[self.trajectory_R])

    @property
    def branches_R(self) -> Indices:
        """How many trajectories go through each turn: 1 for one that no branch shares."""
        if self.decision_R is None:
            return np.ones(len(self.turn_R), np.int64)
        return np.bincount(self.decision_R)[self.decision_R]

    def over_branches(self, value_R: Values) -> Values:
        """Return the values with those of turns that branches share replaced by their mean, shape (R,)."""
        if self.decision_R is None:
            return value_R
        return np.bincount(self.decision_R, value_R)[self.decision_R] / self.branches_R

    def returns(self, gamma: float) -> Values:
        """Return each turn's discounted sum of the rewards from it on, shape (R,); of a turn that branches share,
        the mean over them."""
        returns_R = np.zeros(len(self.reward_R))
        following = 0.0
        for row in range(len(self.reward_R) - 1, -1, -1):
            last = row + 1 == len(self.reward_R) or self.trajectory_R[row + 1] != self.trajectory_R[row]
            following = self.reward_R[row] + (0.0 if last else gamma * following)
            returns_R[row] = following
        return self.over_branches(returns_R)

    @property
    def tokens_T(self) -> Indices:
        """Number of trained tokens of each trajectory."""
        return np.bincount(self.trajectory_R, self.tokens_R, len(self.score_T)).astype(np.int64)

    @property
    def last_R(self) -> NDArray[np.bool_]:
        """Whether each turn is the last of its trajectory."""
        following_R = np.append(self.trajectory_R[1:], -1)
        return following_R != self.trajectory_R

    def chosen(self, code_R: Indices) -> Indices:
        """Return the codes of turns that are to be compared, with the replayed ones each on their own.

        Negative codes stay as they are.
        """
        replayed_R = self.replayed_R
        if replayed_R is None or not replayed_R.any():
            return code_R
        there = np.flatnonzero(code_R >= 0)
        own_R = code_R.copy()
        own_R[there] = codes((int(code_R[row]), int(row) if replayed_R[row] else -1) for row in there)
        return own_R

    def groups_without_signal(self) -> int:
        """Return how many groups have equal scores throughout: they teach a group baseline nothing."""
        return int(Samples.of(self.score_T, self.group_T).constant_G.sum())


def _decisions(episodes: Sequence[Episode]) -> Indices | None:
    """Return the codes of decisions, or None where no episode branched off another."""
    if all(episode.origin is None for episode in episodes):
        return None
    place = {(episode.group_id, episode.id): index for index, episode in enumerate(episodes)}

    def decision(index: int, turn: int) -> tuple[int | str, int]:
        origin = episodes[index].origin
        if origin is None or turn >= origin.turn:
            return index, turn
        trunk = place.get((episodes[index].group_id, origin.episode))
        return (origin.episode, turn) if trunk is None else decision(trunk, turn)

    return codes(decision(t, n) for t, episode in enumerate(episodes) for n in range(len(episode.turns)))


def codes(labels: Iterable[object]) -> Indices:
    """Number labels by first appearance.

    >>> codes(["b", "a", "b"]).tolist()
    [0, 1, 0]
    """
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(label, len(seen)) for label in labels], np.int64)


def group_max(values: Values, group: Indices) -> Values:
    """Return the maximum of each group, shape (number of groups,)."""
    best = np.full(int(group.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(best, group, values)
    return best


ROUNDING = 1e-9
"""Relative spread up to which the values of a group are equal: float64 noise, whatever its origin."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What statistics are taken over: S values in G groups, every group with a member."""

    value_S: Values
    group_S: Indices
    size_G: Values
    constant_G: NDArray[np.bool_]
    """Whether the group's values are all equal, up to rounding."""
    mean_G: Values
    """Of a constant group: one of its values."""
    noise_G: Values
    """Differences up to this are rounding."""

    @classmethod
    def of(cls, value_S: Values, group_S: Indices) -> Samples:
        """Summarise values by group."""
        size_G = np.bincount(group_S).astype(np.float64)
        low_G, high_G = -group_max(-value_S, group_S), group_max(value_S, group_S)
        noise_G = ROUNDING * np.maximum(np.abs(low_G), np.abs(high_G))
        constant_G = high_G - low_G <= noise_G
        mean_G = np.where(constant_G, low_G, np.bincount(group_S, value_S) / np.maximum(size_G, 1))
        return cls(value_S, group_S, size_G, constant_G, mean_G, noise_G)

    def deviation(self, population: bool = False) -> Values:
        """Return each group's standard deviation, of the sample (n - 1) or of the population (n), shape (G,)."""
        square_S = (self.value_S - self.mean_G[self.group_S]) ** 2
        freedom_G = self.size_G - (0 if population else 1)
        return np.sqrt(np.bincount(self.group_S, square_S) / np.maximum(freedom_G, 1))

    def centred(self, value_R: Values, baseline_G: Values, group_R: Indices) -> Values:
        """Return `value_R` minus the baseline of its group; what a constant group's values leave is exactly 0."""
        centred_R = value_R - baseline_G[group_R]
        rounding_R = self.constant_G[group_R] & (np.abs(centred_R) <= self.noise_G[group_R])
        return np.where(rounding_R, 0.0, centred_R)
