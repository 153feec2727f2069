"""`Evolution`: act, distil, gate, credit, consolidate, snapshot; batch after batch, from wherever it was stopped.

Each phase writes into the journal what it is about to do before it does it (or does what can be done twice), so that
a run that was killed comes to the same library as one that was not. Several may grow one library at once: every write
is a transaction, what is written never changes, and each decides on its own proposals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemStatus
from agentgym.core.trace import Episode
from agentgym.evolution import consolidating
from agentgym.evolution.figures import BatchFigures, figures_of
from agentgym.evolution.gate.gate import Gate
from agentgym.evolution.journal import Journal
from agentgym.evolution.playing import Player
from agentgym.evolution.proposing import Evolver, Proposal
from agentgym.evolution.settings import EvolveSettings
from agentgym.memory.credit.review import AUTHOR as CREDIT
from agentgym.memory.credit.review import ReviewRules, due, reason
from agentgym.memory.store.entries import Entry, current, visible
from agentgym.memory.store.store import MemoryStore

PHASES = ("act", "distil", "gate", "credit", "consolidate", "snapshot")


class Watcher(Protocol):
    """Sees how an evolution goes on; what it raises ends it."""

    def phase(self, batch: int, name: str) -> None:
        """A phase of a batch begins."""
        ...

    def episode(self, batch: int, episode: Episode) -> None:
        """An episode has been played."""
        ...

    def batch(self, figures: BatchFigures) -> None:
        """A batch is done."""
        ...


class Evolution:
    """Grows a library over the batches that its settings ask for."""

    def __init__(
        self,
        settings: EvolveSettings,
        library: MemoryStore,
        journal: Journal,
        player: Player,
        evolver: Evolver,
        gate: Gate,
        watcher: Watcher,
        run: str,
    ) -> None:
        self._settings = settings
        self._library = library
        self._journal = journal
        self._player = player
        self._evolver = evolver
        self._gate = gate
        self._watcher = watcher
        self._run = run

    async def evolve(self) -> list[BatchFigures]:
        """Do what is left of the batches and return the figures of all of them.

        Raises `StoreFault` where a database or the disk fails, `InferenceFault` and others where what the agents need
        does: then, as after a kill, it can be gone on with.
        """
        for batch in range(len(self._done()) + 1, self._settings.batches + 1):
            await self._batch(batch)
        return self._done()

    def _done(self) -> list[BatchFigures]:
        return cast("list[BatchFigures]", self._journal.done("snapshot"))

    async def _batch(self, batch: int) -> None:
        played = self._played_with(batch)
        self._watcher.phase(batch, "act")
        episodes = await self._player.play(batch, played, lambda each: self._watcher.episode(batch, each))
        if batch == 1 and self._settings.demonstrations:
            shown = await self._player.demonstrate(lambda each: self._watcher.episode(batch, each))
        else:
            shown = []
        made = await self._distil(batch, [*episodes, *shown])
        self._watcher.phase(batch, "gate")
        for version in made:
            await self._admit(version)
        self._credit(batch)
        await self._consolidate(batch)
        self._watcher.phase(batch, "snapshot")
        on_trial = self._take_snapshot(consolidating.LIVE)
        library = self._take_snapshot([ItemStatus.ACTIVE])
        snapshots = (played, on_trial, library)
        seen = self._in_world()
        figures = figures_of(batch, episodes, made, snapshots, self._done(), self._library, seen)
        self._journal.write(batch, "snapshot", cast("dict[str, Any]", figures))
        self._watcher.batch(figures)

    def _played_with(self, batch: int) -> str:
        """Return the snapshot that a batch is played with: the one that stood when it was first begun."""
        begun = self._journal.read(batch, "act")
        if begun is None:
            done = self._done()
            begun = {"snapshot": done[-1]["on_trial"] if done else self._take_snapshot(consolidating.LIVE)}
            self._journal.write(batch, "act", begun)
        return begun["snapshot"]

    async def _distil(self, batch: int, episodes: Sequence[Episode]) -> list[str]:
        """Put what is proposed into the library and return the versions that are new there."""
        self._watcher.phase(batch, "distil")
        done = self._journal.read(batch, "distil")
        if done is not None:
            return done["made"]
        notes = [note for each in self._journal.done("distil")[: batch - 1] for note in each["notes"]]
        found = await self._evolver.distil(episodes, notes, self._run)
        before = {
            entry.version for entry in self._library.entries() if entry.status is not ItemStatus.CANDIDATE
        }
        versions = self._library.put_all([_checked(proposal) for proposal in found.proposals])
        made = [version for version in dict.fromkeys(versions) if version not in before]
        self._journal.write(batch, "distil", {"made": made, "notes": list(found.notes)})
        return made

    async def _admit(self, version: str) -> None:
        """Let a candidate through the gate; whatever else it has become meanwhile it stays."""
        if self._status(version) is not ItemStatus.CANDIDATE:
            return
        try:
            await self._gate.admit(version)
        except UsageError:
            if self._status(version) is ItemStatus.CANDIDATE:
                raise

    def _credit(self, batch: int) -> None:
        self._watcher.phase(batch, "credit")
        plan = self._journal.read(batch, "credit")
        if plan is None:
            rules = ReviewRules(min_exposures=self._settings.min_exposures)
            own = {entry.version for entry in self._in_world() if entry.space == self._settings.space}
            changes = [
                {"version": each.version, "status": each.after.value, "reason": reason(each.lift, rules)}
                for each in due(self._library, rules)
                if each.version in own
            ]
            plan = {"changes": changes}
            self._journal.write(batch, "credit", plan)
        for change in plan["changes"]:
            self._set(change["version"], ItemStatus(change["status"]), change["reason"], CREDIT)

    async def _consolidate(self, batch: int) -> None:
        self._watcher.phase(batch, "consolidate")
        space, env = self._settings.space, self._settings.env_id
        plan = self._journal.read(batch, "consolidate")
        if plan is None:
            for version in self._library.put_all(consolidating.merges(self._library, space, env)):
                await self._admit(version)
            plan = {
                "retired": [each._asdict() for each in consolidating.retirements(self._library, space, env)]
            }
            self._journal.write(batch, "consolidate", plan)
        for each in plan["retired"]:
            told = f"{each['reason']} {each['by']}"
            self._set(each["version"], ItemStatus.RETIRED, told, consolidating.AUTHOR)

    def _take_snapshot(self, statuses: Sequence[ItemStatus]) -> str:
        """Note the latest version of every item that has one of the statuses and that an agent here can be shown."""
        entries = current(self._in_world(), statuses)
        return self._library.take_snapshot([entry.version for entry in entries])

    def _in_world(self) -> list[Entry]:
        """Return what an agent of this run's space sees in its world; others may keep more in the same library."""
        return visible(self._library.entries(), self._settings.space, self._settings.env_id)

    def _status(self, version: str) -> ItemStatus:
        return self._library.status_log(version)[-1].status

    def _set(self, version: str, status: ItemStatus, why: str, author: str) -> None:
        """Change a status, once: a change that the log has already is not made again."""
        if not any(
            (each.status, each.reason, each.author) == (status, why, author)
            for each in self._library.status_log(version)
        ):
            self._library.set_status(version, status, reason=why, author=author)


def _checked(proposal: Proposal) -> Proposal:
    """Return a proposal that names the episodes it was made from. Raises `LeakError` for evaluated ones."""
    if not proposal.provenance.sources:
        raise UsageError(
            f"{proposal.item.kind.value} {proposal.item.name!r} was proposed without the episodes that it comes from; "
            "an evolver names them."
        )
    for source in proposal.provenance.sources:
        source.check()
    return proposal
