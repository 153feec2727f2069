"""`Replay`: the same tasks and seeds with an item and without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from agentgym.core.agent import Agent
from agentgym.core.env import EnvSpec
from agentgym.core.errors import ConfigError
from agentgym.core.memory import ItemStatus, Memory, MemoryItem, Relation
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.evaluation.compare import Comparison, compare
from agentgym.evaluation.compare import Verdict as Difference
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.runner import evaluate
from agentgym.evolution.gate.report import Check, Standing
from agentgym.memory.recall import Dressing, Recall, RecallSettings
from agentgym.memory.store.entries import current, visible
from agentgym.memory.store.store import MemoryStore
from agentgym.memory.tools.runner import ToolRunner
from agentgym.memory.tools.toolbox import Toolbox
from agentgym.rollout.rules import Rules
from agentgym.sandboxes.backends import sandbox


class Verdict(StrEnum):
    """What the paired episodes allow to say of an item. The first that holds is said."""

    BETTER = "better"
    """The 95 % interval of the difference in success lies above 0, and the p-value of sign flips below 0.05."""
    WORSE = "worse"
    """The interval lies below 0, and the p-value below 0.05."""
    NO_WORSE = "no worse"
    """The interval lies above -margin: it costs less than that, if anything."""
    CANNOT_TELL = "cannot tell"
    """Anything else, and whatever was found where the item was never shown."""


_STANDINGS = {
    Verdict.BETTER: Standing.PASSED,
    Verdict.NO_WORSE: Standing.PASSED,
    Verdict.WORSE: Standing.FAILED,
    Verdict.CANNOT_TELL: Standing.UNDECIDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """What is played."""

    tasks: int | None = 40
    """Most tasks of each group of the split; None: all. 36 tasks without any difference are the fewest for "no worse"
    at the margin of 0.1."""
    samples: int = 1
    """Episodes of each task, with the item and without."""
    seed: int = 0
    max_turns: int = 50
    margin: float = 0.1
    """Of "no worse", in success: 0.1 is ten points."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the environment."""
    concurrency: int = 16

    def __post_init__(self) -> None:
        if not 0 < self.margin < 1:
            raise ConfigError(
                f"The margin of a replay is a share of success between 0 and 1, got {self.margin!r}."
            )


class Pairing(NamedTuple):
    """Episodes with an item and without it."""

    comparison: Comparison
    shown: int
    """Episodes in which the item came into the conversation."""
    verdict: Verdict


class Replay:
    """Plays tasks of the split `select` twice: shown the memory with the item, and the memory without it.

    Everything else is equal: tasks, seeds, the other active items. Another active version of the item, and what it was
    merged from or supersedes, is what it would take the place of, and so is shown where it is withheld. What is played without an item is played once for each
    state of the memory. Nothing that is played is written, and held-out tasks are never touched.
    """

    def __init__(
        self,
        store: MemoryStore,
        env: str | EnvSpec,
        make_agent: Callable[[Memory], Agent],
        settings: ReplaySettings | None = None,
        *,
        recall: RecallSettings | None = None,
        runner: ToolRunner | None = None,
        rules: Rules | None = None,
        dress: Dressing | None = None,
    ) -> None:
        """Play `env` with the agent that `make_agent` makes around a memory; `recall` says what is shown of it, and `dress`
        adds to what it is found by."""
        self.settings = settings or ReplaySettings()
        self._store = store
        self._env = env
        self._make_agent = make_agent
        self._recall = recall or RecallSettings()
        self._runner = runner or ToolRunner(sandbox)
        self._rules = rules
        self._dress = dress
        self._played: dict[str, Evaluation] = {}

    async def check(self, item: MemoryItem, name: str = "replay") -> Check:
        """Return the verdict on a version of the store as a row of the gate; the figure is the difference."""
        found = await self.pair(item)
        if isinstance(found, str):
            return Check(name, Standing.FAULT, found)
        difference = found.comparison.difference
        reason = (
            f"{found.verdict.value}: {100 * difference.estimate:+.1f} points "
            f"({100 * difference.low:+.1f} to {100 * difference.high:+.1f}) over {difference.tasks} tasks, "
            f"shown in {found.shown} of {difference.pairs} episodes"
        )
        details = {**found.comparison.to_data(), "shown": found.shown, "margin": self.settings.margin}
        standing = _STANDINGS[found.verdict]
        return Check(name, standing, reason, difference.estimate, difference.pairs, details)

    async def pair(self, item: MemoryItem) -> Pairing | str:
        """Play with an item and without it; where no pair has a score on both sides, return what was lost instead.

        That is no evidence on the item; whatever failed, it is played again when the item is tried again.
        """
        seen = visible(self._store.entries(), self._recall.space, item.env_id)
        active = [entry for entry in current(seen, [ItemStatus.ACTIVE]) if entry.version != item.version]
        without = [entry.version for entry in active]
        replaced = {
            link.version
            for link in self._store.provenance(item.version).links
            if link.relation in (Relation.MERGED, Relation.SUPERSEDES)
        }
        others = [
            entry.version
            for entry in active
            if entry.identity != item.identity and entry.version not in replaced
        ]
        shown = 0

        def note(episode: Episode, _: int, __: int) -> None:
            nonlocal shown
            shown += any(item.version in turn.shown_items for turn in episode.turns)

        base = self._store.take_snapshot(without)
        if base not in self._played:
            self._played[base] = await self._play(base)
        after = await self._play(self._store.take_snapshot([*others, item.version]), note)
        before = self._played[base]
        if not _scored(before) & _scored(after):
            del self._played[base]
            lost = Counter(before.lost) + Counter(after.lost)
            told = ", ".join(f"{n} x {kind}" for kind, n in sorted(lost.items()))
            return f"no pair of episodes has a score on both sides: {told}"
        comparison = compare(before, after)
        return Pairing(comparison, shown, judged(comparison, shown, self.settings.margin))

    async def _play(
        self, snapshot: str, note: Callable[[Episode, int, int], None] | None = None
    ) -> Evaluation:
        recall = Recall(self._store, snapshot, self._recall, dress=self._dress)
        memory = Toolbox(recall, self._store, self._runner, space=self._recall.space)
        settings = self.settings
        return await evaluate(
            self._env,
            self._make_agent(memory),
            Split.SELECT,
            tasks=settings.tasks,
            samples=settings.samples,
            seed=settings.seed,
            max_turns=settings.max_turns,
            options=settings.options,
            concurrency=settings.concurrency,
            rules=self._rules,
            on_progress=note,
        )


def _scored(evaluation: Evaluation) -> set[tuple[str, int]]:
    """Return which tasks and samples have a score."""
    return {(result.task_key, result.sample) for result in evaluation.scored}


def judged(comparison: Comparison, shown: int, margin: float) -> Verdict:
    """Return what a comparison says of an item that was shown in so many episodes."""
    if shown and comparison.verdict is not Difference.CANNOT_TELL:
        return Verdict(comparison.verdict.value)
    return Verdict.NO_WORSE if shown and comparison.difference.low > -margin else Verdict.CANNOT_TELL
