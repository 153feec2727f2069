"""A two-turn bandit whose policy gradient is known in closed form.

The first turn stops, for a small reward, or goes on; the second then wins or loses. Stopping takes five tokens,
going on takes one and the second turn takes two, so that lengths differ between and within trajectories:

    stop                reward 0.1
    go on, then win     reward 1
    go on, then lose    reward 0

The policy has two parameters: the logits of going on and of winning. Only a turn's first token is a choice;
the others are certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch

from agentgym.training.advantages.base import Advantage
from agentgym.training.losses.aggregations import Aggregation
from agentgym.training.shaping.base import Progress, Shaping
from agentgym.training.turns import TurnTable, Values, codes
from tests.training.shaping.tokens import tokens_of

GO, WIN = 0.4, 0.3
"""Probabilities of going on, and then of winning."""
STOP_REWARD = 0.1
GRADIENT = np.array([GO * (1 - GO) * (WIN - STOP_REWARD), GO * WIN * (1 - WIN)])


class Play(NamedTuple):
    """One way an episode can go; lists have one entry per turn."""

    probability: float
    states: str
    rewards: list[float]
    lengths: list[int]
    scores: list[tuple[int, float]]
    """Of each turn: its parameter, and the derivative of the log-probability of what it chose."""


PLAYS = (
    Play(1 - GO, "a", [STOP_REWARD], [5], [(0, -GO)]),
    Play(GO * WIN, "ab", [0.0, 1.0], [1, 2], [(0, 1 - GO), (1, 1 - WIN)]),
    Play(GO * (1 - WIN), "ab", [0.0, 0.0], [1, 2], [(0, 1 - GO), (1, -WIN)]),
)


def expected_gradient(
    advantage: Advantage, aggregation: Aggregation, shaping: tuple[Shaping, ...] = (), members: int = 4
) -> Values:
    """Return the mean, over all groups there can be, of the gradient a recipe estimates from one; shape (2,)."""
    total = np.zeros(2)
    for probability, plays in groups(members):
        total += probability * estimate(plays, advantage, aggregation, shaping)
    return total


def groups(members: int) -> Iterator[tuple[float, tuple[Play, ...]]]:
    """Yield every group there can be, with its probability."""
    for plays in product(PLAYS, repeat=members):
        yield float(np.prod([play.probability for play in plays])), plays


def estimate(
    plays: tuple[Play, ...], advantage: Advantage, aggregation: Aggregation, shaping: tuple[Shaping, ...]
) -> Values:
    """Return the gradient that is estimated from the group, shape (2,)."""
    turns = credit_table([plays])
    tokens = tokens_of(turns)
    advantage_N = advantage(turns)[tokens.turn_N]
    for part in shaping:
        advantage_N = part(advantage_N, tokens, turns, Progress(0, 1))
    weight_R = aggregation.weights(
        torch.from_numpy(turns.tokens_R), torch.from_numpy(turns.trajectory_R)
    ).numpy()
    gradient = np.zeros(2)
    scores = [score for play in plays for score in play.scores]
    for row, token in enumerate(np.flatnonzero(tokens.position_N == 0)):
        parameter, score = scores[row]
        gradient[parameter] += weight_R[row] * advantage_N[token] * score
    return gradient


def credit_table(groups: Sequence[Sequence[Play]]) -> TurnTable:
    """Return the credit table of several groups."""
    plays = [(number, play) for number, group in enumerate(groups) for play in group]
    turns = [(t, n) for t, (_, play) in enumerate(plays) for n in range(len(play.states))]
    group_T = np.array([number for number, _ in plays])
    return TurnTable(
        trajectory_R=np.array([t for t, _ in turns]),
        turn_R=np.array([n for _, n in turns]),
        state_R=codes((group_T[t], plays[t][1].states[n]) for t, n in turns),
        reward_R=np.array([plays[t][1].rewards[n] for t, n in turns]),
        valid_R=np.ones(len(turns), np.bool_),
        tokens_R=np.array([plays[t][1].lengths[n] for t, n in turns]),
        group_T=group_T,
        score_T=np.array([sum(play.rewards) for _, play in plays]),
        task_T=[str(number) for number, _ in plays],
    )


def direction_error(gradient: Values) -> float:
    """Return the angle between a gradient and the true one, in degrees."""
    cosine = gradient @ GRADIENT / (np.linalg.norm(gradient) * np.linalg.norm(GRADIENT))
    return float(np.degrees(np.arccos(min(1.0, cosine))))
