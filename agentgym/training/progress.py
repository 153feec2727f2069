"""What a training run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agentgym.rollout.monitor import Figures


class Progress(Protocol):
    """Receives what a run does; the CLI shows it."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` units begins; the one before is over."""
        ...

    def advance(self, note: str = "") -> None:
        """One more unit of the stage is done."""
        ...

    def playing(self, figures: Figures) -> None:
        """Episodes are being played; told about once a second."""
        ...

    def iteration(self, iteration: int, metrics: Mapping[str, float], timing: Mapping[str, float]) -> None:
        """An iteration (counted from 0) is finished and safe on disk."""
        ...

    def say(self, text: str) -> None:
        """Something worth knowing happened."""
        ...


class Silent:
    """Shows nothing."""

    def stage(self, name: str, total: int) -> None:
        """Ignore it."""

    def advance(self, note: str = "") -> None:
        """Ignore it."""

    def playing(self, figures: Figures) -> None:
        """Ignore it."""

    def iteration(self, iteration: int, metrics: Mapping[str, float], timing: Mapping[str, float]) -> None:
        """Ignore it."""

    def say(self, text: str) -> None:
        """Ignore it."""
