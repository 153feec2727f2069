"""What single episodes of an evaluation came to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from agentgym.core.errors import UsageError
from agentgym.core.trace import Episode, Outcome, StopReason


class Record(BaseModel):
    """Base of the records that go to JSON files."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class EpisodeResult(Record):
    """What one episode of an evaluation came to. The same seeds and policy give the same record."""

    episode_id: str
    task_id: str
    task_key: str
    """Hash of the task's content: what was evaluated, whatever it is called later."""
    task_type: str
    difficulty: str = ""
    group: str
    sample: int
    """Which of the episodes of its task, from 0."""
    seed: int
    outcome: Outcome
    score: float | None
    stop_reason: StopReason
    turns: int
    invalid_turns: int
    """Turns whose answer was no action, or one the environment did not take."""
    sampled_tokens: int
    prompt_tokens: int = 0
    """Of the contexts of all its completions, each counted whole, as the policy counted."""
    completion_tokens: int = 0
    """That the policy counted; `sampled_tokens` are those whose ids are known."""
    policy_version: int

    @classmethod
    def from_episode(cls, episode: Episode, sample: int) -> Self:
        """Reduce an episode to what statistics need. Raises `UsageError` for one that was played in a model of its
        environment."""
        if episode.task.imagined:
            raise UsageError(
                f"Episode {episode.id!r} was played in a model of its environment ({episode.task.env_id}), so it cannot "
                "be evaluated; evaluate in the environment itself."
            )
        return cls(
            episode_id=episode.id,
            task_id=episode.task.id,
            task_key=episode.task.key,
            task_type=episode.task.task_type,
            difficulty=episode.task.difficulty,
            group=episode.task.group,
            sample=sample,
            seed=episode.seed,
            outcome=episode.outcome,
            score=episode.score,
            stop_reason=episode.stop_reason,
            turns=len(episode.turns),
            invalid_turns=sum(not turn.valid for turn in episode.turns),
            sampled_tokens=episode.sampled_tokens,
            prompt_tokens=episode.usage.prompt,
            completion_tokens=episode.usage.completion,
            policy_version=episode.versions.policy,
        )


class Timing(Record):
    """Seconds that scored episodes took; they depend on the machine and on what else went on."""

    episode_s: float
    """Mean of an episode: its decisions and its environment's steps."""
    decision_s: float
    """Median of a decision."""
    slow_decision_s: float
    """95 of 100 decisions took at most this."""
    step_s: float
    """Median of an environment's step."""

    @classmethod
    def of(cls, episodes: Iterable[Episode]) -> Self | None:
        """Return the timing of the scored episodes; None where they have no turns."""
        played = [episode.turns for episode in episodes if episode.outcome.scored]
        decisions = [turn.timing.get("policy", 0.0) for turns in played for turn in turns]
        steps = [turn.timing.get("env", 0.0) for turns in played for turn in turns]
        if not decisions:
            return None
        return cls(
            episode_s=(sum(decisions) + sum(steps)) / len(played),
            decision_s=float(np.median(decisions)),
            slow_decision_s=float(np.quantile(decisions, 0.95)),
            step_s=float(np.median(steps)),
        )


def by_task(results: Iterable[EpisodeResult]) -> dict[str, list[EpisodeResult]]:
    """Return the results of each task, in order of appearance."""
    tasks: dict[str, list[EpisodeResult]] = {}
    for result in results:
        tasks.setdefault(result.task_id, []).append(result)
    return tasks


def successes(results: Sequence[EpisodeResult]) -> int:
    """Return how many of the episodes solved their task."""
    return sum(result.outcome is Outcome.SUCCESS for result in results)
