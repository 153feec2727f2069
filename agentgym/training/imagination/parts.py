"""Imagination as a part of a recipe: how much of what is learned from is played in a model of the environment."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from pydantic import Field

from agentgym.core.errors import UsageError
from agentgym.training.imagination.asking import EXAMPLES, AskedModel, Speaker
from agentgym.training.imagination.buffer import ReplayBuffer
from agentgym.training.imagination.counting import CountingModel
from agentgym.training.imagination.edge import MidwayStarts, TaskWriter, WrittenTasks
from agentgym.training.imagination.model import ExperienceModel
from agentgym.training.parts import Part


class Mind(NamedTuple):
    """A model of the environment at work, and what makes tasks for it."""

    model: ExperienceModel
    writer: TaskWriter
    speaker: Speaker | None = None
    """To be closed in the end."""


class Imagination(Part, kind="imagination"):
    """Whether some groups of an iteration are played in a model of the environment."""

    imagines: ClassVar[bool] = True

    def mind(self, buffer: ReplayBuffer) -> Mind:
        """Return the model, which answers from `buffer`."""
        raise UsageError(f"The imagination {self.name!r} has no model.")


class NoImagination(Imagination, name="none"):
    """All are played in the environment itself."""

    imagines: ClassVar[bool] = False


class Imagining(Imagination):
    """What the imaginations have in common."""

    share: float = Field(default=0.25, gt=0, lt=1)
    """Of an iteration's groups, those that are played in the model. They play the tasks at the edge of the policy's
    ability: whose last rollouts in the environment ended most differently. Before there are any, none is."""
    varied: float = Field(default=0.5, ge=0, le=1)
    """Of these, those that play a variation of such a task instead of the task itself."""
    episodes: str = ""
    """The directory of a run whose train episodes the model knows from the beginning. It learns from those of the
    run itself in any case."""


class Counted(Imagining, name="counted"):
    """A model that counts what followed on what in the episodes so far; a variation begins midway in one of them.

    It can foresee a success only in tasks that were solved in the environment.
    """

    def mind(self, buffer: ReplayBuffer) -> Mind:
        """Return a counting model."""
        return Mind(CountingModel(buffer), MidwayStarts(buffer))


class Asked(Imagining, name="asked"):
    """A language model behind an OpenAI-compatible URL, which is shown similar transitions and writes the variations
    (DreamGym, arXiv 2511.03773)."""

    url: str
    model: str = ""
    """Empty: the only one that the server lists."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable with the key."""
    examples: int = Field(default=EXAMPLES, ge=0)
    """Transitions of the episodes so far that the model is shown for each answer."""

    def mind(self, buffer: ReplayBuffer) -> Mind:
        """Return a model behind the URL."""
        from agentgym.policies.endpoint import EndpointPolicy, EndpointSettings

        policy = EndpointPolicy(
            EndpointSettings(url=self.url, model=self.model, api_key_env=self.api_key_env)
        )
        speaker = Speaker(policy)
        return Mind(AskedModel(speaker, buffer, examples=self.examples), WrittenTasks(speaker), speaker)
