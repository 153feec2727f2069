"""Critiques: what a failed or laboured attempt is told in words, and learning from the attempt after it.

Legend: N trained tokens, R turns, T trajectories.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from agentgym.core.trace import Episode
from agentgym.training.advantages.base import Advantage
from agentgym.training.guidance import Guidance, only
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import Clipped
from agentgym.training.teachers.hints import text_of
from agentgym.training.turns import Samples, TurnTable, Values


def critique(episode: Episode) -> str:
    """Return the environment's own words on an episode: how it ended, what was done, what had no effect."""
    outcome = "success" if episode.success else "failure"
    after = [*(turn.observation for turn in episode.turns[1:]), episode.final_observation]
    wrong = [
        f"{turn.action}: {text_of(seen)}"
        for turn, seen in zip(episode.turns, after, strict=True)
        if not turn.valid
    ]
    lines = [
        f"An attempt at this task ended in {outcome} after {len(episode.turns)} turns.",
        f"It went: {'; '.join(str(turn.action) for turn in episode.turns)}.",
        *([f"What went wrong: {' '.join(wrong)}"] if wrong else []),
        f"At the end: {text_of(episode.final_observation)}",
    ]
    return "\n".join(lines)


class SecondAttempts(Guidance, name="critique"):
    """RLTF-SD (arXiv 2602.02482): each member of a group tries again with a critique of its attempt in its
    context, and the policy learns the second attempts as if there had been none.

    The second attempt's advantage is its return minus the mean return of the group's first attempts, without
    a deviation; its loss is the plain score function, -A log p in the context without the critique, with no
    importance weight. First attempts are credited among themselves.
    """

    retries = True

    @property
    def most_replaced(self) -> int:
        """Return 0: second attempts join their group."""
        return 0

    def loss(self, batch: TokenBatch) -> Clipped:
        """Return -A log p for each token; nothing is clipped."""
        loss_N = -batch.advantage_N * batch.logp_N
        return Clipped(loss_N, torch.zeros_like(loss_N, dtype=torch.bool))

    def credit(self, advantage: Advantage, turns: TurnTable, guided_T: NDArray[np.bool_]) -> Values:
        """Return the advantage of each turn, shape (R,); `guided_T` tells the second attempts."""
        if not guided_T.any():
            return advantage(turns)
        first_T = ~guided_T
        first = Samples.of(turns.score_T[first_T], turns.group_T[first_T])
        advantage_R = (turns.score_T - first.mean_G[turns.group_T])[turns.trajectory_R]
        advantage_R[first_T[turns.trajectory_R]] = advantage(only(turns, first_T))
        return advantage_R
