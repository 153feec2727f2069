"""The kind "shaping"."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from agentgym.training.parts import Part
from agentgym.training.tokens import TokenTable
from agentgym.training.turns import TurnTable, Values


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run is."""

    iteration: int
    """Counted from 0."""
    iterations: int
    """Of the whole run."""


class Shaping(Part, kind="shaping"):
    """Changes the advantages of tokens. Several apply one after another."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """Columns of the token table: of "entropy", "reference", "teacher", "proximal"."""

    @abstractmethod
    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the new advantage of each token, shape (N,)."""
