"""Proximal policies: what the ratio of an update is taken to."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from agentgym.training.parts import Part


class Proximal(Part, kind="proximal"):
    """The policy in the ratio's denominator."""

    scored: ClassVar[bool] = True
    """Whether its log-probabilities are computed by the trainer before the iteration's first step."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Columns of the token table that it takes its log-probabilities from."""


class Sampler(Proximal, name="sampler"):
    """The policy that sampled, as it reported itself: no extra pass, and the clip acts on the sampler's gap too."""

    scored = False


class Recomputed(Proximal, name="recomputed"):
    """The weights before the update, scored by the trainer (verl's default; one more forward pass)."""


class Reference(Proximal, name="reference"):
    """The frozen policy that training started from: for recorded episodes, whose samplers are many (A-LoL)."""

    scored = False
    needs: ClassVar[frozenset[str]] = frozenset({"reference"})


class Average(Proximal, name="average"):
    """An exponential average of the weights over optimiser steps (PPO-EWMA, arXiv 2110.00641; "Missing Old Logits",
    arXiv 2605.12070): a centre for the clip that does not depend on how old the samples are.

    Step i counts beta^(k - i) with beta = window / (window + 2). Where the average has strayed too far from
    the samples, it starts anew from the current weights.
    """

    window: int = Field(default=2, ge=1)
    """Optimiser steps by which the samples may be old."""
    band: float = Field(default=2.0, gt=1)
    """A token is near the average where average / sampler lies in [1 / band, band]. (Our number.)"""
    near: float = Field(default=0.9, ge=0, le=1)
    """Start anew when the share of near tokens is below this."""

    @property
    def beta(self) -> float:
        """The weight that a step keeps when the next one comes."""
        return self.window / (self.window + 2)
