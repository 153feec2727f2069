"""The sequential schedule: one optimiser step per turn, each aware of how the others went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field

from agentgym.training.schedules.base import LogRatios, Schedule, Step
from agentgym.training.turns import Indices, TurnTable, Values

LOG_BOUND = 10.0
"""Bound on a turn's log-ratio, so that one broken turn cannot overflow the chain (as in the released code)."""

AS_RELEASED = {"chain": "mean", "low": 0.2, "high": 0.2, "placeholders": True}
"""The published loop: geometric means, each and their product kept within 20 %, and no-op stand-ins."""


class Sequential(Schedule, name="sequential"):
    """SeeUPO (arXiv 2602.06554, eqs. 3-9): the turns of all trajectories at one position are learned from in
    one step, and the advantages of the next step are multiplied by how much more likely the steps so far
    made what each trajectory did: M_t = (pi_new / pi_old)(a_t | h_t) M_{t+1}.

    The chain belongs to the trajectory (index of the credit table), whatever the order of the rows. All
    ratios are to the policy just before the turn's own step: what the other steps did to it through the
    shared weights is not held against it.
    """

    published = AS_RELEASED

    order: Literal["reverse", "natural", "random"] | tuple[int, ...] = "reverse"
    """Which turns first: the last ones, the first ones, a random order of each batch, or the positions in a
    list (from 0; those not listed come after, in natural order)."""
    chain: Literal["sequence", "mean"] = "sequence"
    """What enters the chain: the ratio of the whole turn, as the proof of monotone improvement asks for, or
    the geometric mean over its tokens."""
    low: float = Field(default=0.5, ge=0, le=1)
    """Each turn's ratio and the chain are kept above 1 - low; 1 leaves them free."""
    high: float = Field(default=1.0, ge=0)
    """And below 1 + high; `inf` leaves them free."""
    placeholders: bool = False
    """Whether an ended trajectory stands in with its last turn again, with advantage 0: it then counts in
    the means and regularisers of the step, and how that turn's probability changed enters its chain.
    Otherwise its factor stays 1 until its turns come."""

    def steps(self, turns: TurnTable, seed: int, log_ratios: LogRatios) -> Iterator[Step]:
        """Yield a step for each position, with the chain so far as the factor of each trajectory."""
        chain_T = np.ones(len(turns.score_T))
        positions = self.positions(int(turns.turn_R.max(initial=-1)) + 1, seed)
        for number, position in enumerate(positions):
            own_R = turns.turn_R == position
            stand_in_R = _ended_before(turns, position) & self.placeholders
            chosen_R = own_R | stand_in_R
            factor_R = chain_T[turns.trajectory_R] * ~stand_in_R
            yield Step(np.flatnonzero(chosen_R), factor_R, fresh=True, measured=True)
            to_come = turns.trajectory_R[np.isin(turns.turn_R, positions[number + 1 :])]
            rows = np.flatnonzero(chosen_R & np.isin(turns.trajectory_R, to_come))
            if len(rows):
                chained = turns.trajectory_R[rows]
                chain_T[chained] = self.extend(chain_T[chained], log_ratios(rows), turns.tokens_R[rows])

    def positions(self, count: int, seed: int) -> list[int]:
        """Return the order in which the positions 0..count-1 are learned from."""
        if self.order == "random":
            return [int(position) for position in np.random.default_rng(seed).permutation(count)]
        if isinstance(self.order, tuple):
            return sorted(range(count), key=lambda position: _place(self.order, position))
        return list(range(count))[:: -1 if self.order == "reverse" else 1]

    def extend(self, chain: Values, mean_log_ratio: Values, tokens: Indices) -> Values:
        """Return the chains of some trajectories with one more turn of each; arrays of equal shape."""
        log_ratio = mean_log_ratio * (tokens if self.chain == "sequence" else 1)
        ratio = np.exp(np.clip(log_ratio, -LOG_BOUND, LOG_BOUND))
        low, high = 1.0 - self.low, 1.0 + self.high
        return np.clip(chain * np.clip(ratio, low, high), low, high)


def _place(order: object, position: int) -> int:
    return order.index(position) if isinstance(order, tuple) and position in order else 2**31


def _ended_before(turns: TurnTable, position: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which rows are the last turn of a trajectory that ended before a position, shape (R,)."""
    following = np.append(turns.trajectory_R[1:], -1)
    return (turns.trajectory_R != following) & (turns.turn_R < position)
