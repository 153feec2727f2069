"""Reminders: the goal said again in mid-episode, now and then or when the policy drifts away from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agentgym.core.errors import ConfigError
from agentgym.core.message import Message
from agentgym.core.policy import Completion


class Gauge(Protocol):
    """Measures drift; `agentgym.policies.divergence.DriftGauge` does for a model in this process."""

    def drift(self, messages: Sequence[Message], answer_ids: Sequence[int]) -> float:
        """Return how far an answer to `messages` has drifted from the goal, in nats per token."""
        ...


@dataclass(frozen=True, slots=True)
class Reminders:
    """When the goal is said again, under an observation; of a world that does not tell its instruction, never.

    "Drift No More" (arXiv 2510.07777) reminds at chosen turns; `above` chooses them by what is measured.
    """

    every: int = 0
    """Under every so many observations, counted from the first; 0: not by number."""
    above: float | None = None
    """After an answer whose drift is above it, in nats per token; needs a gauge."""
    gauge: Gauge | None = None

    def __post_init__(self) -> None:
        if self.every < 0 or (self.above is not None and not self.above >= 0):
            raise ConfigError(
                f"Reminders come every so many turns, or above so many nats, from 0; got {self.every} and {self.above}."
            )
        if (self.above is None) is not (self.gauge is None):
            raise ConfigError(
                "Reminders above a drift need a gauge that measures it, and a gauge needs the bound `above`; it needs a "
                "policy in this process (`agentgym.policies.divergence.DriftGauge`)."
            )


class Reminding:
    """The reminders of one episode, or none."""

    def __init__(self, reminders: Reminders | None) -> None:
        self._reminders = reminders or Reminders()
        self._observations = 0
        self._drift = 0.0

    def under(self, text: str, info: Mapping[str, Any]) -> str:
        """Return what is told of the next observation, with the goal said again where that is due."""
        rules, number = self._reminders, self._observations
        self._observations += 1
        counted = rules.every > 0 and number > 0 and number % rules.every == 0
        drifted = rules.above is not None and self._drift > rules.above
        return restated(text, info) if counted or drifted else text

    def answered(self, messages: Sequence[Message], completion: Completion) -> None:
        """Hear what was answered to a conversation, and measure its drift where that decides something."""
        if self._reminders.gauge is not None:
            self._drift = self._reminders.gauge.drift(messages, completion.completion_ids.tolist())


def restated(text: str, info: Mapping[str, Any]) -> str:
    """Return a text with the instruction under it, where the world tells it.

    >>> restated("The box is empty.", {"instruction": "find a cup"})
    'The box is empty.\\nYour task is to: find a cup.'
    """
    return f"{text}\nYour task is to: {info['instruction']}." if "instruction" in info else text
