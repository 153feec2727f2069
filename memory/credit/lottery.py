"""`ExposureLottery`: a memory that withholds some of what it would show, at random, and notes what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentgym.core.agent import EpisodeStart
from agentgym.core.errors import ConfigError
from agentgym.core.memory import Recollection, Source
from agentgym.core.task import Split, content_hash
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Episode, Versions
from agentgym.memory.credit.evidence import Exposure
from agentgym.memory.recall import Recall
from agentgym.memory.store.evidence import EvidenceLog
from agentgym.memory.store.rows import now
from agentgym.memory.store.tables import ExposureRow, OutcomeRow

LEAST, MOST = 0.2, 0.8
"""Bounds of the probability: the error of a lift grows with 1 / √(p (1 - p))."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What one episode was shown and not."""

    exposures: tuple[Exposure, ...]
    similarities: tuple[float, ...]
    loaded: set[str] = field(default_factory=set[str])

    @property
    def shown(self) -> list[str]:
        return [exposure.version for exposure in self.exposures if exposure.shown]


class ExposureLottery:
    """`Recall` with a lottery, for episodes that are trained on; implements `agentgym.core.memory.Memory`.

    For each candidate of each rollout chance decides on its own whether it is shown. The draw depends on the seed,
    the episode's id and the version alone: a run draws the same whatever it is called, in whatever order its episodes
    are played and however often one is tried again. Candidates are what would be shown without a lottery, within the
    budget; so nothing but chance withholds any. Episodes of tasks that agents are evaluated on, or that are played in a
    model of their environment, are shown everything, and leave no trace.

    `note` is to be called as each episode ends (`on_episode`); what is not noted is not known.
    """

    def __init__(
        self, recall: Recall, log: EvidenceLog, *, seed: int, run: str = "", probability: float = 0.5
    ) -> None:
        """Wrap a memory; `probability` is that of being shown, and episodes are noted as `RUN/EPISODE`.

        Raises `ConfigError` for a probability outside 0.2 to 0.8.
        """
        if not LEAST <= probability <= MOST:
            raise ConfigError(
                f"Items are shown with a probability from {LEAST} to {MOST}, or too little can be learned of them; "
                f"got {probability!r}."
            )
        self.probability = probability
        self._recall = recall
        self._log = log
        self._seed = seed
        self._run = run
        self._open: dict[str, _Drawn] = {}

    @property
    def versions(self) -> Versions:
        """Those of the memory."""
        return self._recall.versions

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """Those of the memory."""
        return self._recall.tools

    async def recall(self, start: EpisodeStart, situation: str) -> Recollection:
        """Return the candidates that chance lets through."""
        hits = await self._recall.candidates(start, situation)
        everything = self._recall.show([hit.entry.version for hit in hits])
        if start.task.split is not Split.TRAIN or start.task.imagined:
            return everything
        similarity = {hit.entry.version: hit.similarity for hit in hits}
        drawn = _Drawn(
            tuple(self._draw(start.session_id, version) for version in everything.shown),
            tuple(similarity[version] for version in everything.shown),
        )
        self._open[start.session_id] = drawn
        withheld = tuple(each.version for each in drawn.exposures if not each.shown)
        return replace(self._recall.show(drawn.shown), withheld=withheld)

    async def call(self, start: EpisodeStart, name: str, arguments: Mapping[str, Any]) -> Recollection:
        """Answer a call of one of the memory's tools; what is withheld is not there to be loaded either."""
        found = await self._recall.call(start, name, arguments)
        drawn = self._open.get(start.session_id)
        if drawn is None:
            return found
        withheld = {exposure.version for exposure in drawn.exposures if not exposure.shown}
        if withheld & set(found.shown):
            return Recollection(f"There is no skill {arguments.get('name')!r}.")
        drawn.loaded.update(found.shown)
        return found

    def note(self, episode: Episode) -> None:
        """Write an episode's exposures and, if it has a score, its outcome, in one transaction.

        Nothing is written for an episode that asked this memory for nothing, or was noted before. Where writing
        fails the episode can be noted again.
        """
        drawn = self._open.get(episode.id)
        if drawn is None:
            return
        name, group = Source.of(episode, self._run).episode, episode.group_id
        group = f"{self._run}/{group}" if self._run else group
        rows = [
            ExposureRow(
                episode_id=name,
                sha=exposure.version,
                group_id=group,
                snapshot=self.versions.memory,
                rank=rank,
                similarity=similarity,
                probability=exposure.probability,
                shown=exposure.shown,
                used=exposure.version in drawn.loaded or None,
            )
            for rank, (exposure, similarity) in enumerate(
                zip(drawn.exposures, drawn.similarities, strict=True)
            )
        ]
        self._log.add([*rows, *_outcome(episode, name, group)])
        del self._open[episode.id]

    def _draw(self, episode: str, version: str) -> Exposure:
        shown = chance(self._seed, episode, version) < self.probability
        return Exposure(version, self.probability, shown)


def chance(*parts: int | str) -> float:
    """Return a number from 0 to 1 that depends on every part and looks drawn at random.

    >>> chance(0, "e1") == chance(0, "e1") != chance(0, "e2")
    True
    """
    return (int(content_hash(list(parts)), 16) >> 11) / (1 << 53)


def _outcome(episode: Episode, name: str, group: str) -> list[OutcomeRow]:
    if episode.score is None:
        return []
    return [
        OutcomeRow(
            episode_id=name,
            group_id=group,
            task_family=episode.task.task_type,
            policy=str(episode.versions.policy),
            reward=episode.score,
            verifier=episode.task.env_id,
            verified=True,
            tokens=episode.sampled_tokens,
            steps=len(episode.turns),
            at=now(),
        )
    ]
