"""Episodes of an evaluation kept in a store as they end, so that none is played twice."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from agentgym.core.policy import TokenCount
from agentgym.core.trace import Episode
from agentgym.evaluation.contamination import EVALUATED
from agentgym.rollout.monitor import Failure, added
from agentgym.store.store import Store
from agentgym.store.writer import EpisodeWriter


class Keeper:
    """What an evaluation has played so far: episodes in a run of a store, failed attempts in a file of lines."""

    def __init__(self, store: Store, run_id: str, failures: Path) -> None:
        """Keep in `run_id`, which must be in the store; raises `UnknownNameError`."""
        self._store = store
        self._run_id = store.run(run_id).id
        self._failures = failures

    def finished(self, ids: Collection[str]) -> dict[str, Episode]:
        """Return the episodes that are done, by id.

        Those that a fault of the infrastructure ended are not: they become failed attempts, to be played again.
        """
        rows = [row for row in self._store.episode_rows(self._run_id, phase=EVALUATED) if row.id in ids]
        lost = [row for row in rows if row.score is None]
        usage = {row.id: self._store.episode(row.id, self._run_id).usage for row in lost}
        self._note(
            {
                "episode": row.id,
                "outcome": row.outcome,
                "turns": row.n_turns,
                "prompt_tokens": usage[row.id].prompt,
                "completion_tokens": usage[row.id].completion,
                "error": row.error or "",
            }
            for row in lost
        )
        self._store.delete_episodes(self._run_id, [row.id for row in lost])
        kept = {row.id for row in rows} - {row.id for row in lost}
        played = self._store.episodes(self._run_id, phase=EVALUATED) if kept else ()
        return {episode.id: episode for episode in played if episode.id in kept}

    def writer(self) -> EpisodeWriter:
        """Return what writes episodes in the background; a context manager."""
        return EpisodeWriter(self._store, self._run_id)

    def note(self, failures: Iterable[Failure]) -> None:
        """Keep attempts that failed and were made again."""
        self._note(failure.as_json() for failure in failures)

    @property
    def retried(self) -> int:
        """How many attempts failed and were made again, in all that was played."""
        return len(self._entries())

    @property
    def wasted(self) -> TokenCount:
        """The tokens of these attempts."""
        kinds = ("prompt_tokens", "completion_tokens")
        return added(
            *(
                TokenCount(*(int(entry.get(kind, 0)) for kind in kinds))  # earlier versions kept none
                for entry in self._entries()
            )
        )

    def _entries(self) -> list[dict[str, Any]]:
        if not self._failures.is_file():
            return []
        return [json.loads(line) for line in self._failures.read_text("utf-8").splitlines()]

    def _note(self, entries: Iterable[Mapping[str, Any]]) -> None:
        lines = [json.dumps(entry) + "\n" for entry in entries]
        if lines:
            with self._failures.open("a", encoding="utf-8") as file:
                file.writelines(lines)
