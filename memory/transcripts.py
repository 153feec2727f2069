"""What is learned from of an episode: what the world said and what was done, and how it ended.

Nothing else gets into what is distilled: no task parameters, among which may be the answer, no system prompt, and no
memory that was shown, which would come back as if it had been learned anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from agentgym.core.errors import UsageError
from agentgym.core.trace import Episode

MAX_CHARACTERS = 6000
"""Of a transcript as text; of a longer one the middle is left out."""


class Step(NamedTuple):
    """An observation, and what was done upon it."""

    observation: str
    action: str
    valid: bool


@dataclass(frozen=True, slots=True)
class Transcript:
    """An episode as it can be learned from."""

    episode: str
    env_id: str
    task_type: str
    success: bool
    steps: tuple[Step, ...]
    ending: str
    """What the world said last."""

    @classmethod
    def of(cls, episode: Episode) -> Transcript:
        """Read an episode. Raises `UsageError` where it has no score: what failed then was not the agent."""
        if not episode.outcome.scored:
            raise UsageError(
                f"Episode {episode.id!r} ended as {episode.outcome.value}: it says nothing about what the agent did. "
                "Learn from episodes whose outcome is scored."
            )
        steps = tuple(Step(_text(turn.observation), str(turn.action), turn.valid) for turn in episode.turns)
        task, ending = episode.task, _text(episode.final_observation)
        return cls(episode.id, task.env_id, task.task_type, episode.success, steps, ending)

    @property
    def situation(self) -> str:
        """What the agent was told first: what the episode is found by."""
        return self.steps[0].observation if self.steps else self.ending

    @property
    def outcome(self) -> str:
        """`success` or `failure`."""
        return "success" if self.success else "failure"

    def __str__(self) -> str:
        lines = [f"{step.observation}\n> {step.action}" for step in self.steps]
        text = "\n".join([*lines, self.ending])
        if len(text) > MAX_CHARACTERS:
            half = MAX_CHARACTERS // 2
            text = f"{text[:half]}\n[… {len(text) - MAX_CHARACTERS} characters left out …]\n{text[-half:]}"
        return text


def _text(observation: Any) -> str:
    if isinstance(observation, Mapping):
        observation = cast("Mapping[str, Any]", observation).get("text", "")
    return observation if isinstance(observation, str) else ""
