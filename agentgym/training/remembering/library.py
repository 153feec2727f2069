"""`RunLibrary`: the memory of a run, which is part of its state."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from agentgym.core.agent import EpisodeStart
from agentgym.core.errors import CheckpointError
from agentgym.core.memory import ItemStatus, Recollection, Source
from agentgym.core.task import Split
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Episode, Versions
from agentgym.database import copy_sqlite
from agentgym.memory.case_selector import CaseSelector, SelectorSettings, Trial, informative
from agentgym.memory.cases import case_of
from agentgym.memory.credit.lottery import ExposureLottery
from agentgym.memory.credit.review import review
from agentgym.memory.recall import Recall
from agentgym.memory.scan import scan
from agentgym.memory.store.entries import current
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.lineage import made_from, made_of, task_keys
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.store.transfer import export_memory, import_memory
from agentgym.rollout.collect import derive_seed
from agentgym.training.experience import Experience
from agentgym.training.remembering.equipping import equipped, must_have_sandbox
from agentgym.training.remembering.section import MemorySection
from agentgym.training.remembering.separation import Separation, Use
from agentgym.training.run import Run

FILE = "library.sqlite"
STATE = "library.json"
SELECTOR = "selector.safetensors"
AUTHOR = "training"
"""Who the status log says let an item in."""
_IN_USE = (ItemStatus.ACTIVE,)
_ON_TRIAL = (ItemStatus.ACTIVE, ItemStatus.SHADOW)


class RunLibrary:
    """A library that grows with the policy: a memory to its agents, and kept in checkpoints as a whole.

    What is in use is a snapshot that changes between iterations only. Tasks of the split train are shown it by lottery,
    others all of it.
    """

    def __init__(self, run: Run, section: MemorySection, seed: int) -> None:
        """Open what the run has; `begin` or `load` says what it is to have."""
        self._run = run
        self._section = section
        self._seed = seed
        self._selector: CaseSelector | None = None
        if section.retriever == "learned":
            self._selector = CaseSelector(SelectorSettings(seed=seed))
        self.separation = Separation()
        self._situations: dict[str, str] = {}
        self.store = MemoryStore(run.library)
        self._use(self.store.take_snapshot([]))

    def begin(self, trained: Collection[str]) -> None:
        """Take a copy of the recipe's library; `trained` are the episodes that the policy has learned from before.

        Raises `UsageError` where there is no such library, or no sandbox for its tools, `StoreFault` where it cannot be
        read.
        """
        self._replace(None)
        if self._section.library:
            with MemoryStore(self._section.library, create=False) as given, TemporaryDirectory() as folder:
                export_memory(given, Path(folder) / "library.jsonl")
                import_memory(self.store, Path(folder) / "library.jsonl", trusted=True)
        self.separation = Separation(trained=set(trained))
        self._take_stock()
        must_have_sandbox(self._memory)

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def save(self, folder: Path) -> None:
        """Write the library, its snapshot and what has been learned from into a checkpoint."""
        copy_sqlite(self._run.library, folder / FILE)
        kept = {
            "snapshot": self.versions.memory,
            "trained": sorted(self.separation.trained),
            "behind": sorted(self.separation.behind),
        }
        (folder / STATE).write_text(json.dumps(kept) + "\n", "utf-8")
        if self._selector is not None:
            self._selector.save(folder / SELECTOR)

    def load(self, folder: Path) -> None:
        """Become what `save` wrote, whatever has been written since.

        Raises `CheckpointError` where it is not there, `UsageError` where there is no sandbox for its tools.
        """
        state = saved_state(folder)
        self._replace(folder / FILE)
        self.separation = Separation(set(state["trained"]), set(state["behind"]))
        if self._selector is not None:
            self._selector.load(folder / SELECTOR)
        self._use(state["snapshot"])
        must_have_sandbox(self._memory)

    @property
    def versions(self) -> Versions:
        """Those of the snapshot in use."""
        return self._memory.versions

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """Those of the snapshot in use."""
        return self._memory.tools

    async def recall(self, start: EpisodeStart, situation: str) -> Recollection:
        """Return what the snapshot in use has, as far as chance lets it through."""
        if start.task.split is Split.TRAIN:
            self._situations[start.session_id] = situation
        return await self._memory.recall(start, situation)

    async def call(self, start: EpisodeStart, name: str, arguments: Mapping[str, Any]) -> Recollection:
        """Answer a call of one of the memory's tools; see `Toolbox.call`."""
        return await self._memory.call(start, name, arguments)

    def note(self, episode: Episode) -> None:
        """Write what an episode was shown and what not, and how it ended."""
        if self._lottery is not None:
            self._lottery.note(episode)

    @property
    def learned_from(self) -> frozenset[str]:
        """The content (`Task.key`) of the tasks behind the library."""
        return task_keys(self.store)

    def set_aside(self, experience: Experience, iteration: int) -> tuple[list[Episode], Experience]:
        """Return the episodes that become memory, of groups drawn at random, and the experience without them."""
        groups = sorted({episode.group_id for episode in experience.episodes})
        wanted = min(round(self._section.support * len(groups)), len(groups) - 1)
        random = np.random.default_rng(derive_seed(self._seed, "support", iteration))
        support = {groups[int(place)] for place in random.permutation(len(groups))[: max(wanted, 0)]}
        taken = [episode for episode in experience.episodes if episode.group_id in support]
        self.separation.set_aside(map(self._named, taken))
        return taken, experience.only([each.group_id not in support for each in experience.episodes])

    def admit(self, experience: Experience) -> Experience:
        """Return what may train the policy, and note that it does; what is left out is counted in the metrics."""
        uses = [Use(self._named(episode), _shown(episode)) for episode in experience.episodes]
        admitted = self.separation.admit(uses, self._made_from)
        counts = {"memory_sources": float(admitted.sources), "memory_users": float(admitted.users)}
        return experience.only(admitted.kept, counts)

    def learn(
        self, support: Sequence[Episode], played: Sequence[Episode], iteration: int
    ) -> dict[str, float]:
        """Write cases, draw the lottery's conclusions, let the selector learn; what comes of it is in use from now on.

        `support` are the episodes set aside, `played` all of the iteration with a score. A case in which a scan finds
        something, such as marks of a chat template in an answer, is not written: it would never be shown.
        """
        chosen = self._teach_selector(played)
        pairs = [case_of(episode, space=self._section.space, run=self._run.name) for episode in support]
        pairs = [pair for pair in pairs if not scan(pair[0])]
        written = list(dict.fromkeys(self.store.put_all(pairs)))
        known = {entry.version: entry.status for entry in self.store.entries()}
        fresh = [version for version in written if known[version] is ItemStatus.CANDIDATE]
        status = ItemStatus.SHADOW if self._section.draws else ItemStatus.ACTIVE
        for version in fresh:
            self.store.set_status(version, status, reason=f"a case of iteration {iteration}", author=AUTHOR)
        changes = review(self.store) if self._section.draws else []
        barred = self._take_stock()
        shown = [len(_shown(episode)) for episode in played]
        return {
            **chosen,
            "memory_support": float(len(support)),
            "memory_written": float(len(fresh)),
            "memory_activated": float(sum(each.after is ItemStatus.ACTIVE for each in changes)),
            "memory_retired": float(sum(each.after is ItemStatus.RETIRED for each in changes)),
            "memory_barred": float(barred),
            "memory_items": float(len(self.store.snapshot(self.versions.memory))),
            "memory_shown": float(np.mean(shown)) if shown else 0.0,
        }

    def _take_stock(self) -> int:
        """Use from now on what is active, or on trial where there is a lottery, but for what was made from episodes that
        the policy has learned from; return how much that is."""
        statuses = _ON_TRIAL if self._section.draws else _IN_USE
        there = [entry.version for entry in current(self.store.entries(), statuses)]
        barred = made_of(self.store, self.separation.trained)
        members = [version for version in there if version not in barred]
        self._use(self.store.take_snapshot(members, parent=self.versions.memory))
        return len(there) - len(members)

    def _use(self, snapshot: str) -> None:
        """Show a snapshot from now on."""
        self._lineage: dict[str, frozenset[str]] = {}
        recall = Recall(self.store, snapshot, self._section.recall, chooser=self._selector)
        self._lottery: ExposureLottery | None = None
        if self._section.draws:
            log, share = EvidenceLog(self.store), self._section.shown
            self._lottery = ExposureLottery(
                recall, log, seed=self._seed, run=self._run.name, probability=share
            )
        self._memory = equipped(self._lottery or recall, self.store, self._section.recall)

    def _teach_selector(self, played: Sequence[Episode]) -> dict[str, float]:
        """Let the selector learn which items helped with which situation."""
        situations, self._situations = self._situations, {}
        if self._selector is None:
            return {}
        items = self.store.get_all(sorted(frozenset[str]().union(*map(began_with, played))))
        trials = [
            Trial(each.group_id, situations[each.id], items[version], min(max(each.score or 0.0, 0.0), 1.0))
            for each in played
            for version in sorted(began_with(each))
            if each.id in situations
        ]
        found = informative(trials)
        loss = self._selector.learn(found).loss if found else 0.0
        return {"selector_trials": float(len(found)), "selector_loss": loss}

    def _made_from(self, version: str) -> frozenset[str]:
        if version not in self._lineage:
            self._lineage[version] = made_from(self.store, version)
        return self._lineage[version]

    def _named(self, episode: Episode) -> str:
        return Source.of(episode, self._run.name).episode

    def _replace(self, file: Path | None) -> None:
        """Put a copy of a file in the place of the library; None: an empty one."""
        self.store.close()
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
            (self._run.library.parent / name).unlink(missing_ok=True)
        if file is not None:
            shutil.copyfile(file, self._run.library)
        self.store = MemoryStore(self._run.library)
        self._use(self.store.take_snapshot([]))


def saved_state(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint says of its library: `snapshot`, `trained`, `behind`. Raises `CheckpointError`."""
    if not (folder / STATE).is_file():
        raise CheckpointError(
            f"The checkpoint {folder} has no {STATE}: it was made without `memory`. Resume the run with the recipe that "
            "it was begun with."
        )
    return json.loads((folder / STATE).read_text("utf-8"))


def began_with(episode: Episode) -> frozenset[str]:
    """Return the versions that an episode was shown before its first decision."""
    return frozenset(version for turn in episode.turns[:1] for version in turn.shown_items)


def _shown(episode: Episode) -> frozenset[str]:
    return frozenset(version for turn in episode.turns for version in turn.shown_items)
