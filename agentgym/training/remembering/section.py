"""The section `[memory]` of a recipe."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from agentgym.core.memory import ItemKind
from agentgym.memory.credit.lottery import LEAST, MOST
from agentgym.memory.recall import RecallSettings
from agentgym.memory.retrieval.library import DEFAULT_K
from agentgym.training.advantages.exposure import Exposure
from agentgym.training.parts import Settings


class MemorySection(Settings):
    """What the policy is shown of a memory while it learns, and whether the memory grows with it."""

    library: str = ""
    """The memory that the run begins with: a path or a postgresql:// URL. The run has a copy of its own and leaves this
    one as it is. Empty: it begins with nothing."""
    space: str = ""
    """The agent's own; it sees the spaces above it too."""
    kinds: tuple[ItemKind, ...] = tuple(ItemKind)
    """What is shown."""
    retriever: Literal["likeness", "learned"] = "likeness"
    """Items are chosen by their likeness to the first observation, or among four times as many by a network that learns
    which of them help (Memento, arXiv 2508.16153)."""
    k: int = Field(default=DEFAULT_K, ge=1)
    """Most items in an episode."""
    token_budget: int = Field(default=1000, ge=1)
    """Most tokens that they take."""
    load_skills: bool = False
    """Show skills by name and description, with a tool to read the rest: for agents that call tools."""
    shown: float = Field(default=0.5, ge=LEAST, le=1)
    """Probability that an item is shown that could be: the rest is withheld, so that it can be told what items are
    worth. 1: everything is shown, and nothing found out."""
    exposure: Exposure = "correct"
    """Whom rollouts are compared with that were not shown the same: with those that were ("equal"), or with the whole
    group after the effect of what was shown is taken out of the scores ("correct"), or with it as it is ("ignore")."""
    support: float = Field(default=0.0, ge=0, lt=1)
    """Share of an iteration's groups whose episodes become cases in the memory, and teach the policy nothing."""

    @model_validator(mode="after")
    def _can_be_used(self) -> MemorySection:
        if MOST < self.shown < 1:
            raise ValueError(f"`shown` is at most {MOST}, or too little is withheld to learn from it, or 1")
        if urlsplit(self.library).password is not None:
            raise ValueError(
                "`library` has a password in it, which would be kept with the run: leave it to PGPASSWORD or ~/.pgpass"
            )
        return self

    @property
    def draws(self) -> bool:
        """Whether chance decides what is shown."""
        return self.shown < 1

    @property
    def recall(self) -> RecallSettings:
        """The same as `Recall` takes it."""
        return RecallSettings(
            k=self.k,
            kinds=self.kinds,
            space=self.space,
            token_budget=self.token_budget,
            load_skills=self.load_skills,
        )
