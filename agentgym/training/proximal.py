"""Proximal policies: what the ratio of an update is taken to."""

from __future__ import annotations

from typing import ClassVar

from agentgym.training.parts import Part


class Proximal(Part, kind="proximal"):
    """The policy in the ratio's denominator."""

    scored: ClassVar[bool] = True
    """Whether its log-probabilities are computed by the trainer before the iteration's first step."""


class Sampler(Proximal, name="sampler"):
    """The policy that sampled, as it reported itself: no extra pass, and the clip acts on the sampler's gap too."""

    scored = False


class Recomputed(Proximal, name="recomputed"):
    """The weights before the update, scored by the trainer (verl's default; one more forward pass)."""
