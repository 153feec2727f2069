"""What items are ranked by: the published scores and the lift, interchangeable.

The published ones look at what was shown alone, and so at E[reward | shown]: an item that is found for hard tasks looks
harmful, however much it helps there.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from agentgym.core.errors import ConfigError
from agentgym.memory.credit.evidence import Rollout
from agentgym.memory.credit.lift import PRIOR, check_prior, lifts


class Scorer(Protocol):
    """Says which items are better; only the order of its scores means something."""

    @property
    def name(self) -> str:
        """For listings."""
        ...

    def scores(self, rollouts: Sequence[Rollout]) -> dict[str, float]:
        """Return the score of every item that it can say something about, by version.

        `rollouts` are in the order in which they ended; rewards are from 0 to 1.
        """
        ...


@dataclass(frozen=True, slots=True)
class EvolveRScorer:
    """(successes + 1) / (uses + 2) over the rollouts that were shown it (EvolveR, arXiv 2510.16079, equation 2).

    A reward between 0 and 1 counts as part of a success.
    """

    @property
    def name(self) -> str:
        """For listings."""
        return "EvolveR"

    def scores(self, rollouts: Sequence[Rollout]) -> dict[str, float]:
        """Return the smoothed rate of success of every item that was shown."""
        rewards: defaultdict[str, list[float]] = defaultdict(list)
        for version, rollout in _shown(rollouts):
            rewards[version].append(rollout.reward)
        return {version: (math.fsum(own) + 1) / (len(own) + 2) for version, own in rewards.items()}


@dataclass(frozen=True, slots=True)
class MemRLScorer:
    """Q ← Q + α (r - Q) after each rollout that was shown it, from Q = 0 (MemRL, arXiv 2601.03192)."""

    alpha: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ConfigError(f"alpha lies above 0 and at most at 1, got {self.alpha!r}.")

    @property
    def name(self) -> str:
        """For listings."""
        return "MemRL-Q"

    def scores(self, rollouts: Sequence[Rollout]) -> dict[str, float]:
        """Return the Q value of every item that was shown."""
        q: dict[str, float] = {}
        for version, rollout in _shown(rollouts):
            q[version] = q.get(version, 0.0) + self.alpha * (rollout.reward - q.get(version, 0.0))
        return q


@dataclass(frozen=True, slots=True)
class MementoScorer:
    """The case's part in Q(s, c) = σ(u_s + v_c), fitted by cross-entropy (Memento, arXiv 2508.16153, equation 15).

    Every item that a rollout was shown has the rollout's reward as its label, as in the published data. The state is
    the kind of task; `decay` is the weight of the squared parameters, halved. A state's part is the same for all
    its candidates, so selection (equation 16) goes by v_c alone. Without texts this is what the paper's network can
    know; `agentgym.memory.case_selector` is the network. A sweep bounds the curvature by 1/4, so that the loss never
    rises (Böhning and Lindsay 1988).
    """

    decay: float = 1.0
    sweeps: int = 50

    def __post_init__(self) -> None:
        if not self.decay > 0 or self.sweeps < 1:
            raise ConfigError(
                f"decay is above 0 and sweeps at least 1, got {self.decay!r} and {self.sweeps!r}."
            )

    @property
    def name(self) -> str:
        """For listings."""
        return "Memento"

    def scores(self, rollouts: Sequence[Rollout]) -> dict[str, float]:
        """Return v_c of every item that was shown, in log-odds."""
        rows = [(rollout.family, version, rollout.reward) for version, rollout in _shown(rollouts)]
        by_state = _rows_by(row[0] for row in rows)
        by_case = _rows_by(row[1] for row in rows)
        state, case = dict.fromkeys(by_state, 0.0), dict.fromkeys(by_case, 0.0)
        for _ in range(self.sweeps):
            for part, places in ((state, by_state), (case, by_case)):
                for key, own in places.items():
                    rates = (_sigmoid(state[rows[row][0]] + case[rows[row][1]]) for row in own)
                    slope = math.fsum(rows[row][2] - rate for row, rate in zip(own, rates, strict=True))
                    part[key] += (slope - self.decay * part[key]) / (len(own) / 4 + self.decay)
        return case


@dataclass(frozen=True, slots=True)
class LiftScorer:
    """The lift by inverse propensity within groups, shrunk; see `agentgym.memory.credit.lift`."""

    prior: float = PRIOR

    def __post_init__(self) -> None:
        check_prior(self.prior)

    @property
    def name(self) -> str:
        """For listings."""
        return "lift"

    def scores(self, rollouts: Sequence[Rollout]) -> dict[str, float]:
        """Return the shrunk lift of every item that chance has decided about."""
        return {version: lift.shrunk(self.prior).mean for version, lift in lifts(rollouts).items()}


SCORERS: tuple[Scorer, ...] = (LiftScorer(), MementoScorer(), EvolveRScorer(), MemRLScorer())
"""All of them, as they come."""


def _shown(rollouts: Sequence[Rollout]) -> Iterator[tuple[str, Rollout]]:
    for rollout in rollouts:
        yield from ((exposure.version, rollout) for exposure in rollout.exposures if exposure.shown)


def _rows_by(keys: Iterator[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return rows


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else 1 - 1 / (1 + math.exp(x))
