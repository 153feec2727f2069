"""Who proposes memory items, and what a proposal is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from agentgym.core.memory import MemoryItem, Provenance
from agentgym.core.trace import Episode


class Proposal(NamedTuple):
    """An item that somebody thinks helps, and the episodes that it was made from."""

    item: MemoryItem
    provenance: Provenance


class Distilled(NamedTuple):
    """What an evolver makes of a batch."""

    proposals: tuple[Proposal, ...] = ()
    notes: tuple[Mapping[str, Any], ...] = ()
    """What it wants to know again of this batch at later ones, as JSON data."""


class Evolver(Protocol):
    """Proposes memory items from what agents have done."""

    @property
    def name(self) -> str:
        """Who is recorded as the author."""
        ...

    async def distil(
        self, episodes: Sequence[Episode], notes: Sequence[Mapping[str, Any]], run: str
    ) -> Distilled:
        """Return what can be learned from a batch's episodes of the split `train`, beside its notes on earlier batches.

        `run` is that of the episodes, for their names as sources. Raises `LeakError` for an episode of a task that
        agents are evaluated on.
        """
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...
