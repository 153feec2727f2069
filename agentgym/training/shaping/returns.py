"""Returns and statistics token by token, for estimators that treat each token as a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from agentgym.training.shaping.base import Progress, Shaping, column
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import Indices, Samples, TurnTable, Values


class TokenReturns(Shaping, name="token_returns"):
    """REINFORCE++'s returns (arXiv 2501.03262): the rewards from the token on, discounted by `gamma` per trained
    token of the trajectory. Takes the place of the advantage.

    A turn's reward belongs to its last trained token, or to the last one before it in the trajectory.
    """

    gamma: float = Field(default=1.0, ge=0, le=1)
    reset_at_gaps: bool = False
    """End the sum at the end of the turn, as the released code does: it multiplies the running return by the loss
    mask, so that tokens before an observation do not see what came of them."""
    published: ClassVar[Mapping[str, Any]] = {"reset_at_gaps": True}

    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the return of each token, shape (N,)."""
        trajectory_N = turns.trajectory_R[tokens.turn_N]
        reward_N = np.zeros(len(tokens))
        last_R = np.searchsorted(tokens.turn_N, np.arange(len(turns.turn_R)), side="right") - 1
        earned = np.flatnonzero(last_R >= 0)
        earned = earned[trajectory_N[last_R[earned]] == turns.trajectory_R[earned]]
        np.add.at(reward_N, last_R[earned], turns.reward_R[earned])
        return to_go(reward_N, tokens.turn_N if self.reset_at_gaps else trajectory_N, self.gamma)


class KlReward(Shaping, name="kl_reward"):
    """The divergence from the reference as a price in the reward: minus `coefficient` x the sum of
    log pi - log reference over the trajectory's trained tokens from this one on, discounted by `gamma` per token.
    """

    coefficient: float = Field(default=0.01, ge=0)
    gamma: float = Field(default=1.0, ge=0, le=1)
    needs = frozenset({"reference"})

    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the advantage of each token less what its future costs, shape (N,)."""
        estimate_N = tokens.old_logp_N.astype(np.float64) - column(tokens.reference_logp_N, self, "reference")
        price_N = to_go(estimate_N, turns.trajectory_R[tokens.turn_N], self.gamma)
        return advantage_N - self.coefficient * price_N


class Whiten(Shaping, name="whiten"):
    """(A - mean) / sqrt(variance + 1e-8) over all trained tokens of the batch (REINFORCE++).

    A batch whose tokens all have one value gets exactly 0.
    """

    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the whitened advantage of each token, shape (N,)."""
        if not len(advantage_N):
            return advantage_N
        whole_N = np.zeros(len(advantage_N), np.int64)
        samples = Samples.of(advantage_N, whole_N)
        centred_N = samples.centred(advantage_N, samples.mean_G, whole_N)
        return centred_N / np.sqrt(samples.deviation()[0] ** 2 + 1e-8)


def to_go(reward_N: Values, owner_N: Indices, gamma: float) -> Values:
    """Return the discounted sum of the rewards from each token on, within the run of tokens of its owner."""
    returns_N = np.zeros(len(reward_N))
    following, owner = 0.0, -1
    for index in range(len(reward_N) - 1, -1, -1):
        following = reward_N[index] + (gamma * following if owner_N[index] == owner else 0.0)
        owner = owner_N[index]
        returns_N[index] = following
    return returns_N
