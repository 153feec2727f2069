"""The figures of a batch, as JSON data: what was played, what the library is, whether it is done growing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypedDict

from agentgym.core.memory import ItemStatus, Relation
from agentgym.core.trace import Episode
from agentgym.evaluation.rates import success_rate
from agentgym.evaluation.results import EpisodeResult
from agentgym.evolution.convergence import chance_of_help, generality, survival
from agentgym.memory.credit.evidence import read_rollouts
from agentgym.memory.credit.lift import NOTHING_KNOWN, Lift, lifts
from agentgym.memory.store.entries import Entry, current
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.tables import CheckRow


class ItemFigures(TypedDict):
    """A version that the run's agents see, and what it is worth."""

    version: str
    name: str
    kind: str
    status: str
    lift: float | None
    """Shrunk, in units of reward; null where nothing is known."""
    low: float | None
    """Bounds of its 90 % interval."""
    high: float | None
    exposures: int
    """Rollouts that had it as a candidate, or pairs of the gate's replay where those are more."""


class BatchFigures(TypedDict):
    """What a batch came to."""

    batch: int
    played: str
    """The snapshot that was played with: active items, and shadows, of which chance finds out whether they help."""
    on_trial: str
    """The one that the next batch is played with."""
    library: str
    """The active items: what the evolution has come to."""
    episodes: int
    """With a score."""
    success: float | None
    low: float | None
    """Bounds of its 95 % interval, clustered by task."""
    high: float | None
    made: list[str]
    """Versions that were proposed and not there yet."""
    used: int
    """How often a version came into an episode's conversation."""
    sizes: dict[str, dict[str, int]]
    """Current versions of items by kind and status."""
    egl: float | None
    """Null before anything was used."""
    egl_window: float | None
    survival: float
    next_helps: float
    """Posterior probability that the library brings more reward than it did a batch ago."""
    items: list[ItemFigures]


def figures_of(
    batch: int,
    episodes: Sequence[Episode],
    made: Sequence[str],
    snapshots: tuple[str, str, str],
    before: Sequence[BatchFigures],
    library: MemoryStore,
    seen: Sequence[Entry],
) -> BatchFigures:
    """Return the figures of a batch; `snapshots` are those of its fields, in order, `before` is earlier batches', and
    `seen` what the run's agents see of the library, which others may have more in."""
    scored = [episode for episode in episodes if episode.outcome.scored]
    rate = success_rate(EpisodeResult.from_episode(each, 0) for each in scored) if scored else None
    used = sum(len(turn.shown_items) for episode in episodes for turn in episode.turns)
    all_made = [*(each["made"] for each in before), list(made)]
    egl = generality([len(each) for each in all_made], [*(each["used"] for each in before), used])
    played, on_trial, taken = snapshots
    earlier = library.snapshot(before[-1]["library"]) if before else []
    now = library.snapshot(taken)
    known = what_is_known(library)
    counted = _counted_already(library, set(earlier) - set(now), set(now) - set(earlier), known)
    return BatchFigures(
        batch=batch,
        played=played,
        on_trial=on_trial,
        library=taken,
        episodes=len(scored),
        success=rate and rate.estimate,
        low=rate and rate.low,
        high=rate and rate.high,
        made=list(made),
        used=used,
        sizes=_sizes(seen),
        egl=_finite(egl.egl),
        egl_window=_finite(egl.windowed),
        survival=survival((version for each in all_made for version in each), now),
        next_helps=chance_of_help(set(earlier) - counted, now, known),
        items=_items(seen, known),
    )


def what_is_known(library: MemoryStore) -> Mapping[str, Lift]:
    """Return every version's lift: by the exposure lottery, or by the gate's replay where that is the larger sample."""
    log = EvidenceLog(library)
    found = dict(lifts(read_rollouts(log)))
    for row in log.rows(CheckRow, check="replay"):
        details: Mapping[str, Any] = json.loads(row.report_json).get("details") or {}
        difference: Mapping[str, Any] = details.get("difference") or {}
        error = difference.get("standard_error")
        if row.score is None or error is None:
            continue
        tried = Lift(row.score, error, row.n, difference["tasks"])
        if tried.n > found.get(row.sha, NOTHING_KNOWN).n:
            found[row.sha] = tried
    return found


def _counted_already(
    library: MemoryStore, gone: Collection[str], added: Collection[str], known: Mapping[str, Lift]
) -> set[str]:
    """Return which of the versions that are gone were shown where one that was added was withheld by the replay.

    The figure of that one is what it brings beyond them (see `Replay`), so that their loss is in it already.
    """
    drawn = lifts(read_rollouts(EvidenceLog(library)))
    identities = {entry.version: entry.identity for entry in library.entries()}
    found: set[str] = set()
    for version in added:
        if known.get(version) == drawn.get(
            version
        ):  # the lottery's: what it brings where nothing takes its place
            continue
        linked = {
            link.version
            for link in library.provenance(version).links
            if link.relation in (Relation.MERGED, Relation.SUPERSEDES)
        }
        found |= {each for each in gone if each in linked or identities.get(each) == identities.get(version)}
    return found


def _sizes(seen: Sequence[Entry]) -> dict[str, dict[str, int]]:
    counts = Counter((entry.kind.value, entry.status.value) for entry in current(seen, list(ItemStatus)))
    sizes: dict[str, dict[str, int]] = {}
    for (kind, status), count in sorted(counts.items()):
        sizes.setdefault(kind, {})[status] = count
    return sizes


def _items(seen: Sequence[Entry], known: Mapping[str, Lift]) -> list[ItemFigures]:
    found: list[ItemFigures] = []
    for entry in seen:
        lift = known.get(entry.version, NOTHING_KNOWN)
        shrunk = lift.shrunk()
        low, high = shrunk.interval()
        told = lift.n > 0
        found.append(
            ItemFigures(
                version=entry.version,
                name=entry.name,
                kind=entry.kind.value,
                status=entry.status.value,
                lift=shrunk.mean if told else None,
                low=_finite(low),
                high=_finite(high),
                exposures=lift.n,
            )
        )
    return found


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
