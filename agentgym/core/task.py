"""Tasks and suites: what an agent is asked to do, and which of it may be learned from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol

from agentgym.core.errors import TaskError, UnknownNameError

IMAGINED = "imagined:"
"""Begins the `env_id` of a task that is played in a model of its environment and not in the environment itself."""


class Split(StrEnum):
    """A task belongs to exactly one split."""

    TRAIN = "train"
    """Rollouts, demonstrations and memory may come from it."""
    SELECT = "select"
    """For choosing between recipes, checkpoints and memory items."""
    HELDOUT = "heldout"
    """For the final figure only; nothing learned may derive from it."""

    @classmethod
    def parse(cls, name: str | Split) -> Split:
        """Return the split called `name`; raises `UnknownNameError` with a suggestion."""
        try:
            return cls(name)
        except ValueError:
            raise UnknownNameError("split", str(name), [split.value for split in cls]) from None


@dataclass(frozen=True)
class Task:
    """One problem instance. Equal content means equal `key`, wherever the task came from.

    `params` is JSON data that the environment understands. `params["task_type"]`, where there is one,
    names the kind of task in reports. `group` names a part of the split (`seen`, `unseen`).
    """

    id: str
    env_id: str
    split: Split
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    difficulty: str = ""
    group: str = ""

    @cached_property
    def key(self) -> str:
        """Hash of what the task asks (environment, seed, params), without its name and split."""
        return content_hash([self.env_id, self.seed, self.params])

    @property
    def task_type(self) -> str:
        """The kind of task, for reports; empty where the environment has no kinds."""
        return str(self.params.get("task_type", ""))

    @property
    def imagined(self) -> bool:
        """Whether it is played in a model of its environment: what comes of it says nothing about the environment."""
        return self.env_id.startswith(IMAGINED)

    @property
    def world(self) -> str:
        """The id of the environment that it is about, imagined or not."""
        return self.env_id.removeprefix(IMAGINED)

    def to_json(self) -> dict[str, Any]:
        """Return the task as JSON data."""
        return {
            "id": self.id,
            "env_id": self.env_id,
            "split": self.split.value,
            "seed": self.seed,
            "params": dict(self.params),
            "difficulty": self.difficulty,
            "group": self.group,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        """Read a task from `to_json`'s output; raises `TaskError` naming a field that is wrong."""
        unknown = sorted(set(data) - set(_KINDS))
        missing = sorted({"id", "env_id", "split"} - set(data))
        if unknown or missing:
            raise TaskError(
                f"Not a task: missing fields {missing}, unknown fields {unknown}; got {sorted(data)}."
            )
        for name, value in data.items():
            kind = _KINDS[name]
            if not isinstance(value, kind) or isinstance(value, bool):
                raise TaskError(f"Not a task: {name} must be of type {kind.__name__}, got {value!r:.80}.")
        fields: dict[str, Any] = {**data, "split": Split.parse(data["split"])}
        return cls(**fields)


_KINDS: Mapping[str, type] = {
    "id": str,
    "env_id": str,
    "split": str,
    "seed": int,
    "params": Mapping,
    "difficulty": str,
    "group": str,
}


class TaskSuite(Protocol):
    """A named, versioned list of tasks in three splits.

    `heldout_differs` says in one sentence how the held-out tasks differ in content from the others.
    """

    name: str
    version: str
    env_id: str
    heldout_differs: str

    def tasks(self, split: Split | str) -> Sequence[Task]:
        """Return the tasks of a split, in a fixed order. The sequence may build them lazily."""
        ...


def content_hash(value: object) -> str:
    """Return 16 hex digits that are equal exactly for equal JSON content, whatever the key order.

    >>> content_hash({"a": 1, "b": [2]}) == content_hash({"b": [2], "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
