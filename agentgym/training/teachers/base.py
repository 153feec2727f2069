"""The kind "teacher", and what a teacher at work does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor
from transformers import PreTrainedModel

from agentgym.agents.conversation import History
from agentgym.core.env import AgentEnv
from agentgym.core.trace import Episode
from agentgym.policies.models import LoadedModel
from agentgym.training.packing import MicroBatch
from agentgym.training.parts import Part
from agentgym.training.tokens import Floats, TokenTable


class Lesson(ABC):
    """What a teacher thinks of the trained tokens of one batch."""

    @abstractmethod
    def logp(self) -> Floats:
        """Return the log-probability of each token in nats, NaN where the teacher says nothing, shape (N,)."""

    @abstractmethod
    def __call__(self, batch: MicroBatch) -> Tensor:
        """Return the logits at the trained tokens of a micro-batch, NaN where nothing is said, shape (N, V)."""


class Tutor(Protocol):
    """A teacher at work. Those whose weights never change leave all but `lesson` as it is."""

    def lesson(self, episodes: Sequence[Episode], tokens: TokenTable) -> Lesson:
        """Return a lesson on the trained tokens of `episodes`, which `tokens` tabulates."""
        ...

    def learned(self) -> None:
        """Hear that the student's weights have changed."""

    def save(self, folder: Path) -> None:
        """Write what a resumed run needs into a checkpoint."""

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run gives its teacher to work with."""

    student: LoadedModel
    initial: Callable[[], PreTrainedModel]
    """Opens the model that reinforcement started from."""
    open_model: Callable[[str], LoadedModel]
    """Opens a run's newest model, a model directory or a model of the hub."""
    make_env: Callable[[], AgentEnv]
    """Makes the environment of the train tasks."""
    history: History
    max_turns: int
    temperature: float
    """At which log-probabilities are compared."""
    tokens_per_microbatch: int
    exact: bool
    """Whether the recipe compares whole distributions."""


class Teacher(Part, kind="teacher"):
    """What the policy's own tokens are compared with."""

    @property
    def asks_for_oracle(self) -> bool:
        """Whether the environment must have an expert."""
        return False

    @abstractmethod
    def tutor(self, around: Surroundings) -> Tutor | None:
        """Open what the teacher needs; None where there is none. Raises `ConfigError` where it does not fit."""


class NoTeacher(Teacher, name="none"):
    """Rewards alone teach."""

    def tutor(self, around: Surroundings) -> Tutor | None:
        """Return None."""
        return None
