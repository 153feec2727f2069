"""The policy as its own teacher: the same weights in a context that tells more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from transformers import PreTrainedModel

from agentgym.core.message import Message
from agentgym.core.trace import Episode
from agentgym.policies.rendering import ChatRenderer
from agentgym.training.averaging import WeightAverage
from agentgym.training.conversations import in_context, inserted, task_message
from agentgym.training.teachers.base import Lesson, Surroundings, Teacher, Tutor
from agentgym.training.teachers.hints import expert_plans, feedback, next_messages
from agentgym.training.teachers.reading import Reading
from agentgym.training.tokens import TokenTable

FILE = "teacher.safetensors"
"""The average, in a checkpoint."""


class SelfTeacher(Teacher, name="self"):
    """The policy itself with a hint in its context, never with a gradient.

    `hint` is `oracle`: the expert's plan, told with the task (OPSD); `feedback`: what the environment said
    next and how the episode ended, told before the answer (SDPO); `next_message`: what it said next alone
    (hindsight self-distillation).
    """

    hint: Literal["oracle", "feedback", "next_message"] = "feedback"
    weights: Literal["current", "initial", "average"] = "current"
    """Those of the policy as it is, as it was before reinforcement, or their exponential average."""
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.99
    """Of the average: what is kept of it at each iteration."""

    @property
    def asks_for_oracle(self) -> bool:
        """Whether the hint is the expert's."""
        return self.hint == "oracle"

    def tutor(self, around: Surroundings) -> Tutor:
        """Return the tutor, with a copy of the weights where they are not the current ones."""
        return _SelfTutor(self, around)


class _SelfTutor(Tutor):
    """Shows the hints, and keeps the average."""

    def __init__(self, settings: SelfTeacher, around: Surroundings) -> None:
        self._settings = settings
        self._around = around
        self._renderer = ChatRenderer(around.student.tokenizer)
        self._average: WeightAverage | None = None
        self._model: PreTrainedModel = around.student.model
        if settings.weights == "initial":
            self._model = around.initial().requires_grad_(False).eval()
        if settings.weights == "average":
            self._average = WeightAverage(around.student.model, settings.decay)
            self._model = self._average.model

    def lesson(self, episodes: Sequence[Episode], tokens: TokenTable) -> Lesson:
        """Return what the weights say of the tokens, given the hints."""
        hints = self._hints(episodes)
        hinted = [self._hinted(episode, texts) for episode, texts in zip(episodes, hints, strict=True)]
        told_R = np.array([bool(text) for texts in hints for text in texts], np.bool_)
        return Reading(self._model, hinted, told_R[tokens.turn_N], self._around)

    def learned(self) -> None:
        """Move the average towards the student's weights."""
        if self._average is not None:
            self._average.update(self._around.student.model)

    def save(self, folder: Path) -> None:
        """Write the average, where there is one."""
        if self._average is not None:
            self._average.save(folder / FILE)

    def load(self, folder: Path) -> None:
        """Read the average, where there is one."""
        if self._average is not None:
            self._average.load(folder / FILE)

    def _hints(self, episodes: Sequence[Episode]) -> list[list[str]]:
        """Return the hint of each turn of each episode."""
        if self._settings.hint == "oracle":
            plans = expert_plans(episodes, self._around.make_env, self._around.max_turns)
            return [[plan] * len(episode.turns) for plan, episode in zip(plans, episodes, strict=True)]
        read = feedback if self._settings.hint == "feedback" else next_messages
        return [read(episode) for episode in episodes]

    def _hinted(self, episode: Episode, texts: Sequence[str]) -> Episode:
        lasting = self._settings.hint == "oracle"

        def edit(position: int, messages: list[Message]) -> list[Message]:
            if not texts[position]:
                return messages
            return inserted(messages, task_message(messages) if lasting else -1, texts[position])

        return in_context(episode, self._renderer, self._around.history, edit, lasting=lasting)
