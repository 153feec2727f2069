"""The kind "extraction": which answers the policy learns from, once a critic can judge them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from agentgym.training.parts import Part


class Extraction(Part, kind="extraction"):
    """Which answers the policy learns from."""

    samples: ClassVar[bool] = False
    """Whether the policy answers the recorded states anew."""


class AsRecorded(Extraction, name="as_recorded"):
    """The answers that were given."""


class BestOfN(Extraction, name="best_of_n"):
    """The best, by the critic's quality, of `answers` that the policy now gives to a recorded state (Digi-Q)."""

    samples: ClassVar[bool] = True
    answers: int = Field(default=16, ge=2)
    states: int = Field(default=256, ge=1)
    """Recorded states that are answered in an iteration, drawn from its batch."""
