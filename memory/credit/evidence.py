"""The rollouts that credit is computed from: what was shown, what was withheld, and how it ended."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.tables import ExposureRow, OutcomeRow


class Exposure(NamedTuple):
    """A candidate in one rollout."""

    version: str
    probability: float
    """With which it was to be shown; 1 where nothing was drawn."""
    shown: bool

    @property
    def drawn(self) -> bool:
        """Whether chance decided, so that it says something about cause and effect."""
        return 0 < self.probability < 1


@dataclass(frozen=True, slots=True)
class Rollout:
    """One scored rollout with the candidates that it had."""

    group: str
    """Rollouts of one group play the same task from the same start."""
    reward: float
    exposures: tuple[Exposure, ...]
    family: str = ""
    """The kind of task."""


def read_rollouts(log: EvidenceLog) -> list[Rollout]:
    """Return the rollouts of a log that have an outcome, in the order in which they ended."""
    exposures: defaultdict[str, list[ExposureRow]] = defaultdict(list)
    for row in log.rows(ExposureRow):
        exposures[row.episode_id].append(row)
    outcomes = sorted(log.rows(OutcomeRow), key=lambda row: (row.at, row.episode_id))
    return [
        Rollout(
            outcome.group_id,
            outcome.reward,
            tuple(
                Exposure(row.sha, row.probability, row.shown)
                for row in sorted(exposures[outcome.episode_id], key=lambda row: row.rank)
            ),
            outcome.task_family,
        )
        for outcome in outcomes
        if outcome.episode_id in exposures
    ]
