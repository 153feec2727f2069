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
            tokens_R=np.array([int(turn.loss_mask.sum()) for _, _, turn in turns], np.int64),
            group_T=group_T,
            score_T=np.array([episode.score for episode in episodes], np.float64),
        )

    @property
    def group_R(self) -> Indices:
        """Group of each turn."""
        return self.group_T[self.trajectory_R]

    @property
    def score_R(self) -> Values:
        """Return of each turn's trajectory."""
        return self.score_T[self.trajectory_R]

    def returns(self, gamma: float) -> Values:
        """Return each turn's discounted sum of the rewards from it on, shape (R,)."""
        returns_R = np.zeros(len(self.reward_R))
        following = 0.0
        for row in range(len(self.reward_R) - 1, -1, -1):
            last = row + 1 == len(self.reward_R) or self.trajectory_R[row + 1] != self.trajectory_R[row]
            following = self.reward_R[row] + (0.0 if last else gamma * following)
            returns_R[row] = following
        return returns_R

    def groups_without_signal(self) -> int:
        """Return how many groups have equal scores throughout: they teach a group baseline nothing."""
        spread_G = group_max(self.score_T, self.group_T) + group_max(-self.score_T, self.group_T)
        return int((spread_G == 0).sum())


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
