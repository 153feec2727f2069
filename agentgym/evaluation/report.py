"""`Evaluation`: what came of playing a fixed list of tasks, with the figures that summarise it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.task import Split
from agentgym.core.trace import Episode, Outcome, StopReason
from agentgym.evaluation.statistics import (
    Interval,
    Values,
    bootstrap_interval,
    pass_at_k,
    pass_hat_k,
    rate_interval,
    standard_error,
)

FORMAT = "agentgym-evaluation-1"


class Record(BaseModel):
    """Base of the records that go to JSON files."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class EpisodeResult(Record):
    """What one episode of an evaluation came to."""

    episode_id: str
    task_id: str
    task_key: str
    """Hash of the task's content: what was evaluated, whatever it is called later."""
    task_type: str
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
    policy_version: int

    @classmethod
    def from_episode(cls, episode: Episode, sample: int) -> Self:
        """Reduce an episode to what statistics need."""
        return cls(
            episode_id=episode.id,
            task_id=episode.task.id,
            task_key=episode.task.key,
            task_type=episode.task.task_type,
            group=episode.task.group,
            sample=sample,
            seed=episode.seed,
            outcome=episode.outcome,
            score=episode.score,
            stop_reason=episode.stop_reason,
            turns=len(episode.turns),
            invalid_turns=sum(not turn.valid for turn in episode.turns),
            sampled_tokens=episode.sampled_tokens,
            policy_version=episode.versions.policy,
        )


class Rate(Record):
    """A success rate over tasks: see `agentgym.evaluation.statistics` for the formulas."""

    estimate: float
    """Mean over tasks of the share of scored episodes that succeeded."""
    low: float
    """95 % interval, clustered by task (`rate_interval`)."""
    high: float
    standard_error: float | None
    """Null for a single task."""
    bootstrap: Interval
    """95 % interval by resampling of tasks."""
    tasks: int
    episodes: int
    """Scored ones."""


class Evaluation(Record):
    """A policy's episodes on fixed tasks and seeds.

    Episodes that ended by a fault of the infrastructure (`lost`) have no score and enter no rate.
    """

    env_id: str
    suite: str
    suite_version: str
    split: Split
    agent: str
    """The agent's name."""
    seed: int
    samples: int
    """Episodes of each task."""
    max_turns: int
    options: dict[str, JsonValue]
    """Options of the environment."""
    created: str
    """UTC, ISO 8601."""
    results: tuple[EpisodeResult, ...]
    """By task, then sample."""

    @property
    def scored(self) -> list[EpisodeResult]:
        """The episodes that say something about the agent."""
        return [result for result in self.results if result.outcome.scored]

    @property
    def lost(self) -> dict[str, int]:
        """Number of episodes without a score, by outcome."""
        return dict(Counter(result.outcome.value for result in self.results if not result.outcome.scored))

    @property
    def groups(self) -> list[str]:
        """The named groups of tasks with a scored episode, in order of appearance."""
        return list(dict.fromkeys(result.group for result in self.scored if result.group))

    @property
    def task_types(self) -> list[str]:
        """The named kinds of task with a scored episode, in alphabetical order."""
        return sorted({result.task_type for result in self.scored if result.task_type})

    def has_group(self, name: str) -> bool:
        """Whether there is a rate for a group."""
        return name in self.groups

    def rate(self, group: str | None = None, task_type: str | None = None) -> Rate:
        """Return the success rate over all tasks, or those of a group and a kind.

        Raises `UnknownNameError` for a group or kind without scored episodes, and `UsageError` where
        no episode has a score.
        """
        if group is not None and group not in self.groups:
            raise UnknownNameError("task group", group, self.groups)
        if task_type is not None and task_type not in self.task_types:
            raise UnknownNameError("task type", task_type, self.task_types)
        return success_rate(
            result
            for result in self.scored
            if group in (None, result.group) and task_type in (None, result.task_type)
        )

    @property
    def pass_ks(self) -> list[int]:
        """The k of the pass rates worth reporting: powers of two, up to the scored samples of a task."""
        most = max((len(outcomes) for outcomes in _by_task(self.scored).values()), default=0)
        return [2**power for power in range(most.bit_length())]

    def pass_rates(self, k: int) -> tuple[float, float]:
        """Return pass@k and pass^k: the share of tasks of which one, or each, of k samples succeeds.

        Means of the unbiased estimates over the tasks with at least k scored episodes; raises
        `UsageError` where there are none.
        """
        tasks = [(len(outcomes), sum(outcomes)) for outcomes in _by_task(self.scored).values()]
        enough = [(n, c) for n, c in tasks if n >= k]
        if k < 1 or not enough:
            raise UsageError(f"pass@{k} needs tasks with {k} scored episodes; evaluate with samples={k}.")
        return (
            float(np.mean([pass_at_k(n, c, k) for n, c in enough])),
            float(np.mean([pass_hat_k(n, c, k) for n, c in enough])),
        )

    @property
    def mean_turns(self) -> float:
        """Turns of a scored episode."""
        return float(np.mean([result.turns for result in self.scored]))

    @property
    def invalid_action_rate(self) -> float:
        """Share of the turns of scored episodes that were no valid action."""
        return sum(r.invalid_turns for r in self.scored) / max(1, sum(r.turns for r in self.scored))

    @property
    def mean_sampled_tokens(self) -> float:
        """Tokens the policy sampled in a scored episode."""
        return float(np.mean([result.sampled_tokens for result in self.scored]))

    @property
    def stop_reasons(self) -> dict[str, int]:
        """Number of scored episodes by what stopped them, most frequent first."""
        return dict(Counter(result.stop_reason.value for result in self.scored).most_common())

    def summary(self) -> dict[str, Any]:
        """Return the figures as JSON data; what there is without any scored episode where there is none."""
        counts: dict[str, Any] = {"episodes": len(self.results), "lost": self.lost}
        if not self.scored:
            return counts
        return {
            "success": self.rate().model_dump(),
            "groups": {name: self.rate(group=name).model_dump() for name in self.groups},
            "task_types": {name: self.rate(task_type=name).model_dump() for name in self.task_types},
            "pass_at_k": {k: self.pass_rates(k)[0] for k in self.pass_ks},
            "pass_hat_k": {k: self.pass_rates(k)[1] for k in self.pass_ks},
            "stop_reasons": self.stop_reasons,
            "mean_turns": self.mean_turns,
            "invalid_action_rate": self.invalid_action_rate,
            "mean_sampled_tokens": self.mean_sampled_tokens,
            **counts,
        }

    def to_json(self) -> str:
        """Return the evaluation and its summary as JSON text."""
        content = {"format": FORMAT, "summary": self.summary(), "evaluation": self.model_dump(mode="json")}
        return json.dumps(content, indent=1)

    @classmethod
    def from_json(cls, text: str, source: str = "the text") -> Self:
        """Read `to_json`'s output; raises `UsageError` that names `source` for anything else."""
        try:
            content: Any = json.loads(text)
            found = cast("dict[str, Any]", content).get("format") if isinstance(content, dict) else None
            if found != FORMAT:
                raise UsageError(
                    f"{source} is no evaluation of format {FORMAT!r} (got {found!r}); "
                    "evaluate again with this version of agentgym."
                )
            return cls.model_validate(content["evaluation"])
        except (json.JSONDecodeError, KeyError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{source} is damaged ({reason}); evaluate again to replace it.") from error

    def save(self, path: str | Path) -> None:
        """Write the evaluation to a JSON file; a reader never sees half of it."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(target.name + ".part")
        unfinished.write_text(self.to_json(), encoding="utf-8")
        unfinished.replace(target)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an evaluation; raises `UsageError` for a missing, damaged or foreign file."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"Cannot read an evaluation from {path}: {error}.") from error
        return cls.from_json(text, str(path))


def success_rate(results: Iterable[EpisodeResult]) -> Rate:
    """Return the success rate of scored episodes; raises `UsageError` when there are none."""
    outcomes = list(_by_task(results).values())
    if not outcomes:
        raise UsageError(
            "No episode has a score, so there is no success rate; see the errors of the episodes."
        )
    values_K: Values = np.array([sum(task) / len(task) for task in outcomes])
    episodes = sum(map(len, outcomes))
    low, high = rate_interval(values_K, episodes)
    return Rate(
        estimate=float(values_K.mean()),
        low=low,
        high=high,
        standard_error=standard_error(values_K) if len(values_K) > 1 else None,
        bootstrap=bootstrap_interval(values_K),
        tasks=len(values_K),
        episodes=episodes,
    )


def _by_task(results: Iterable[EpisodeResult]) -> dict[str, list[bool]]:
    """Return, for each task, which of its episodes succeeded."""
    tasks: dict[str, list[bool]] = {}
    for result in results:
        tasks.setdefault(result.task_id, []).append(result.outcome is Outcome.SUCCESS)
    return tasks
