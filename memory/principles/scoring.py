"""What the evidence says of a principle."""

from __future__ import annotations

import math
from typing import NamedTuple

from agentgym.core.memory import Provenance, Stance

FLOOR = 0.3
"""A principle is of no use where its rate of success is below this."""

MIN_USES = 100
"""None is retired on less evidence. EvolveR retires at any number of uses, and so loses a third of those that work
every second time."""


class Record(NamedTuple):
    """How often episodes spoke for and against a principle."""

    confirmed: int
    contradicted: int

    @classmethod
    def of(cls, provenance: Provenance) -> Record:
        """Count the episodes. One that speaks for it and against it speaks for it."""
        stances = {stance: {s.episode for s in provenance.sources if s.stance is stance} for stance in Stance}
        confirmed = stances[Stance.CONFIRMS]
        return cls(len(confirmed), len(stances[Stance.CONTRADICTS] - confirmed))

    @property
    def uses(self) -> int:
        """All of them."""
        return self.confirmed + self.contradicted

    @property
    def score(self) -> float:
        """The rate of success with one success and one failure more (EvolveR, arXiv 2510.16079, equation 2)."""
        return (self.confirmed + 1) / (self.uses + 2)

    @property
    def useless(self) -> bool:
        """Whether there is evidence enough that it is: the upper 95 % bound lies below the floor."""
        return self.uses >= MIN_USES and wilson_upper(self.confirmed, self.uses) < FLOOR


def wilson_upper(successes: int, n: int, z: float = 1.645) -> float:
    """Return the upper bound of a rate (Wilson 1927), one-sided at 95 % for z = 1.645.

    >>> round(wilson_upper(10, 100), 3)
    0.16
    """
    rate = successes / n
    centre = rate + z * z / (2 * n)
    spread = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return (centre + spread) / (1 + z * z / n)
