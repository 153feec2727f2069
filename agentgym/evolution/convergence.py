"""Whether a library is done growing: how much is still made for how much is used, and whether more will help.

Evolutionary generality loss (Yunjue, tech report 2026, section 5): EGL(t) = Σ c_i / Σ u_i over the batches i up to t,
with c the items that were made and u the uses of items. It falls with every use, useful or not; so beside it stand the
same over the last batches alone, and the share of what was made that is still alive. Here c counts versions proposed and
u the times that a version came into an episode's conversation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

from agentgym.memory.credit.lift import NOTHING_KNOWN, Lift

WINDOW = 3
"""Batches of the windowed figure."""


class Generality(NamedTuple):
    """How much is made for how much is used."""

    egl: float
    """Over all batches; infinite before anything was used."""
    windowed: float
    """Over the last `WINDOW` batches."""


def generality(made: Sequence[int], used: Sequence[int]) -> Generality:
    """Return EGL after a number of batches, each with what was made and how often something was used."""
    return Generality(_ratio(made, used), _ratio(made[-WINDOW:], used[-WINDOW:]))


def survival(made: Iterable[str], alive: Iterable[str]) -> float:
    """Return the share of the versions ever made that are still in use; 1 where none was made."""
    versions = set(made)
    return len(versions & set(alive)) / len(versions) if versions else 1.0


def chance_of_help(before: Iterable[str], after: Iterable[str], known: Mapping[str, Lift]) -> float:
    """Return the posterior probability that the snapshot `after` brings more reward than `before`.

    What was added brings its lift, what was taken away brings minus its lift: independent, each normal with the mean
    and error of the shrunk lift (`Lift.shrunk`), whose prior is that it does nothing. 0 where nothing changes, for
    then nothing helps, and 1/2 where nothing is known of a change.
    """
    old, new = set(before), set(after)
    changes = [(1.0, version) for version in sorted(new - old)] + [
        (-1.0, version) for version in sorted(old - new)
    ]
    if not changes:
        return 0.0
    lifts = [(sign, known.get(version, NOTHING_KNOWN).shrunk()) for sign, version in changes]
    mean = math.fsum(sign * lift.mean for sign, lift in lifts)
    spread = math.sqrt(math.fsum(lift.se**2 for _, lift in lifts))
    if math.isinf(spread):
        return 0.5
    return 1 - NormalDist(mean, spread).cdf(0.0) if spread else float(mean > 0)


def _ratio(made: Sequence[int], used: Sequence[int]) -> float:
    uses = sum(used)
    return sum(made) / uses if uses else math.inf
