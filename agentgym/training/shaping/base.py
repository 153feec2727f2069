"""The kind "shaping"."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agentgym.training.parts import Part
from agentgym.training.tokens import Floats, TokenTable
from agentgym.training.turns import TurnTable, Values


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run is."""

    iteration: int
    """Counted from 0."""
    iterations: int
    """Of the whole run."""

    @property
    def done(self) -> float:
        """Share of the run, from 0 in its first iteration to 1 in its last."""
        return self.iteration / max(self.iterations - 1, 1)


class Shaping(Part, kind="shaping"):
    """Changes the advantages of tokens. Several apply one after another."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """Columns of the token table: of "entropy", "reference", "teacher", "proximal"."""

    @abstractmethod
    def __call__(
        self, advantage_N: Values, tokens: TokenTable, turns: TurnTable, progress: Progress
    ) -> Values:
        """Return the new advantage of each token, shape (N,)."""


def column(values_N: Floats | None, part: Shaping, need: str) -> Values:
    """Return an optional column of the token table in float64; raises `ValueError` naming the part without it."""
    if values_N is None:
        raise ValueError(f"the shaping `{part.name}` needs the token table's {need}; fill that column")
    return values_N.astype(np.float64)
