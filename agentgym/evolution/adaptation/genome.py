"""What is searched: how attempts are turned into a guide for the next, and how much of a memory is shown."""

from __future__ import annotations

from typing import Self

from pydantic import Field, ValidationError, field_validator

from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind
from agentgym.core.task import content_hash
from agentgym.evaluation.results import Record
from agentgym.memory.recall import RecallSettings, Retriever

MOST_CHARACTERS = 4000
"""Of a prompt: a longer one has begun to remember tasks."""


class Adaptation(Record):
    """A way to adapt. The default does not: no guide, no memory."""

    prompt: str = Field(default="", max_length=MOST_CHARACTERS)
    """Asks for the guide to the next attempt, given the last one; empty: there is none."""
    k: int = Field(default=0, ge=0)
    """Most items of the memory that are shown."""
    token_budget: int = Field(default=1000, ge=0)
    """Most tokens of them."""
    kinds: tuple[ItemKind, ...] = tuple(ItemKind)
    retriever: Retriever = "both"

    @field_validator("kinds")
    @classmethod
    def _in_one_order(cls, kinds: tuple[ItemKind, ...]) -> tuple[ItemKind, ...]:
        """Equal sets of kinds are equal adaptations."""
        return tuple(kind for kind in ItemKind if kind in kinds)

    @property
    def key(self) -> str:
        """The hash of the content."""
        return content_hash(self.model_dump(mode="json"))

    def recall_settings(self, space: str = "") -> RecallSettings:
        """Return the same as a memory takes it."""
        return RecallSettings(
            k=self.k, kinds=self.kinds, space=space, token_budget=self.token_budget, retriever=self.retriever
        )

    @classmethod
    def read(cls, text: str, source: str) -> Self:
        """Read one from JSON; raises `UsageError` naming the source and what is wrong."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise UsageError(f"{source} is no adaptation: {where}: {first['msg']}.") from None

    def __str__(self) -> str:
        kinds = "any" if self.kinds == tuple(ItemKind) else ", ".join(self.kinds) or "none"
        shown = f"{self.k} items of {kinds} within {self.token_budget} tokens, found by {self.retriever}"
        guide = f"guide: {self.prompt!r:.200}" if self.prompt else "no guide"
        return f"{guide}; {shown if self.k else 'no memory'}"
