"""What follows from credit: items are promoted and retired where their lift is known well enough, and can come back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from agentgym.core.errors import ConfigError
from agentgym.core.memory import ItemStatus
from agentgym.memory.credit.evidence import read_rollouts
from agentgym.memory.credit.lift import CONFIDENCE, PRIOR, Lift, check_prior, lifts
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.store import MemoryStore

AUTHOR = "credit"
"""Who a status log says decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRules:
    """When an item's status changes."""

    min_exposures: int = 100
    """Nothing is decided on fewer: a lift of 0.1 is not told from 0 before."""
    confidence: float = CONFIDENCE
    """Of the two-sided interval whose bounds decide."""
    prior: float = PRIOR
    """See `Lift.shrunk`."""
    margin: float = 0.02
    """In units of reward. An item is retired where it costs at least so much: one that does nothing may stay."""

    def __post_init__(self) -> None:
        check_prior(self.prior)
        if self.min_exposures < 1 or not 0 < self.confidence < 1 or not 0 <= self.margin < math.inf:
            raise ConfigError(
                "min_exposures is at least 1, confidence between 0 and 1 and margin 0 or more; got "
                f"{self.min_exposures!r}, {self.confidence!r} and {self.margin!r}."
            )

    def verdict(self, status: ItemStatus, lift: Lift) -> ItemStatus:
        """Return the status that an item should have, given its lift (not shrunk).

        Shadow becomes active where the lower bound lies above 0. Shadow and active become retired where the upper
        bound lies below -margin. Retired becomes shadow, to be tried again, where the upper bound lies above 0:
        between -margin and 0 it stays, so that noise does not move it to and fro. Candidates wait for the gate,
        and nothing leaves quarantine by its credit.
        """
        if lift.n < self.min_exposures:
            return status
        low, high = lift.shrunk(self.prior).interval(self.confidence)
        if status is ItemStatus.SHADOW and low > 0:
            return ItemStatus.ACTIVE
        if status in (ItemStatus.SHADOW, ItemStatus.ACTIVE) and high < -self.margin:
            return ItemStatus.RETIRED
        if status is ItemStatus.RETIRED and high > 0:
            return ItemStatus.SHADOW
        return status


class Change(NamedTuple):
    """A change of status, and what it rests on."""

    version: str
    before: ItemStatus
    after: ItemStatus
    lift: Lift


def review(store: MemoryStore, rules: ReviewRules | None = None) -> list[Change]:
    """Set the status of the items that the evidence is clear about and return what was changed; see `due`."""
    rules = rules or ReviewRules()
    changes = due(store, rules)
    for change in changes:
        store.set_status(change.version, change.after, reason=reason(change.lift, rules), author=AUTHOR)
    return changes


def due(store: MemoryStore, rules: ReviewRules) -> list[Change]:
    """Return the changes of status that the evidence calls for; what somebody else has retired stays retired."""
    found = lifts(read_rollouts(EvidenceLog(store)))
    changes: list[Change] = []
    for entry in store.entries():
        if entry.version not in found:
            continue
        lift = found[entry.version]
        after = rules.verdict(entry.status, lift)
        withdrawn = entry.status is ItemStatus.RETIRED
        if after is entry.status or (withdrawn and store.status_log(entry.version)[-1].author != AUTHOR):
            continue
        changes.append(Change(entry.version, entry.status, after, lift))
    return changes


def reason(lift: Lift, rules: ReviewRules) -> str:
    """Return what a lift says, in words for a status log."""
    shrunk = lift.shrunk(rules.prior)
    low, high = shrunk.interval(rules.confidence)
    return (
        f"lift {shrunk.mean:+.3f} ({low:+.3f} to {high:+.3f}, {rules.confidence:.0%}) "
        f"over {lift.n} exposures in {lift.groups} groups"
    )
