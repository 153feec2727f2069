"""The user: a script of stages. What is told and when is fixed; how it is put may be somebody else's business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentgym.environments.backoffice.domain import Stage
from agentgym.environments.backoffice.facts import told

PATIENCE = 2
"""How often a user asks again for what was not told, before going on without it."""

GOODBYE = "Thank you, that is all."


class Voice(Protocol):
    """Puts a user's lines in other words, such as a language model."""

    def __call__(self, line: str, talk: Sequence[tuple[str, str]]) -> str:
        """Return `line` as the user says it now, with every figure, id and name in it; `talk` is the conversation so
        far as pairs of who (`agent`, `user`) and what."""
        ...


@dataclass(slots=True)
class User:
    """Where a user is in the script."""

    stages: Sequence[Stage]
    stage: int = 0
    asked: int = 0
    """How often this stage's facts were asked for again."""
    heard: set[tuple[int, str]] = field(default_factory=set[tuple[int, str]])
    """Facts that were told: the stage, and what it is."""

    @property
    def over(self) -> bool:
        """Whether the user has gone."""
        return self.stage >= len(self.stages)

    @property
    def wants(self) -> str:
        """What the user has said last of all that counts."""
        return self.stages[min(self.stage, len(self.stages) - 1)].says

    def answer(self, message: str) -> str:
        """Take in what the agent says, and return what the user says to it."""
        tells = self.stages[self.stage].tells
        found = told(message, tells.values())
        self.heard |= {(self.stage, what) for what, value in tells.items() if value in found}
        missing = [what for what in tells if (self.stage, what) not in self.heard]
        if missing and self.asked < PATIENCE:
            self.asked += 1
            return f"You have not told me {' and '.join(missing)}."
        self.stage, self.asked = self.stage + 1, 0
        return GOODBYE if self.over else self.wants

    def save(self) -> list[Any]:
        """Return the place in the script as JSON data."""
        return [self.stage, self.asked, sorted(self.heard)]

    def load(self, saved: list[Any]) -> None:
        """Go to a saved place."""
        self.stage, self.asked = saved[0], saved[1]
        self.heard = {(stage, what) for stage, what in saved[2]}
