"""Named parts: the vocabulary that recipes are written in.

A part is a small frozen pydantic model that can be called: its fields are its settings, its call is the
mathematics. Subclassing one of the kinds below with a `name` registers it:

    class GroupMean(Advantage, name="group_mean"):
        def __call__(self, turns: TurnTable) -> Values: ...

In a recipe a part is a table `{name = "group_mean", ...settings}`, or the bare name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, computed_field, model_validator

from agentgym.core.errors import unknown_name_message


class Settings(BaseModel):
    """Base of every configuration section: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Part(Settings):
    """Base of the kinds of part. A direct subclass is a kind; its subclasses are the registered parts."""

    registry: ClassVar[dict[str, type[Part]]]
    part_name: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    published: ClassVar[Mapping[str, Any]] = {}
    """The settings with which it does what the authors' released code does, where our defaults differ."""
    remembers: ClassVar[bool] = False
    """Whether it learns something over the iterations and keeps it in `memory`."""
    _memory: dict[str, Any] = PrivateAttr(default_factory=dict[str, Any])

    def __init_subclass__(cls, *, name: str = "", kind: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if kind:
            cls.kind = kind
            cls.registry = {}
        elif name:
            cls.part_name = name
            cls.registry[name] = cls

    @computed_field  # so that a dumped recipe names its parts
    @property
    def name(self) -> str:
        """The registered name."""
        return self.part_name

    @property
    def memory(self) -> dict[str, Any]:
        """What it has learned: JSON-able, read and changed in place. Saved in checkpoints (`training.memory`)."""
        return self._memory

    def with_memory(self, memory: dict[str, Any]) -> Self:
        """Return the part with `memory` as its own."""
        part = self.model_copy()
        part._memory = memory
        return part

    def as_published(self) -> Self:
        """Return the part as the authors' released code has it; see `published`."""
        return self.model_copy(update=dict(self.published))

    @model_validator(mode="wrap")
    @classmethod
    def _resolve(cls, value: Any, handler: Any) -> Self:
        if isinstance(value, Part) or cls.part_name:
            return handler(_without_name(value))
        table: dict[str, Any] = {"name": value} if isinstance(value, str) else dict(value)
        wanted = table.pop("name", None)
        if wanted is None:
            raise ValueError(f"needs a `name`: one of {', '.join(sorted(cls.registry))}")
        if wanted not in cls.registry:
            raise ValueError(unknown_name_message(cls.kind, str(wanted), cls.registry))
        return cls.registry[wanted].model_validate(table)  # type: ignore[return-value]


def _without_name(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: item for key, item in value.items() if key != "name"}  # pyright: ignore[reportUnknownVariableType]
    return value
