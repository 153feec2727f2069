"""What a loss sees of the trained tokens, and the base of the parts that see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor

from agentgym.training.parts import Part


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """What the loss sees of N trained tokens. Log-probabilities in nats, at the sampling temperature."""

    logp_N: Tensor
    """Under the current parameters; carries the gradient."""
    old_logp_N: Tensor
    """Under the proximal policy, the ratio's denominator: the sampler itself, unless a recipe says otherwise."""
    advantage_N: Tensor
    turn_N: Tensor
    """Turn of each token, an index into the optimiser step's whole batch (so with gaps in a micro-batch)."""
    trajectory_N: Tensor | None = None
    """Trajectory of each token, an index into the whole batch."""
    group_N: Tensor | None = None
    """Group of each token, an index into the whole batch."""
    token_N: Tensor | None = None
    """Place of each token in the whole batch, as `fit` saw it: 0..N-1."""
    sampler_logp_N: Tensor | None = None
    """Under the policy that sampled the token, as it reported."""
    guided_N: Tensor | None = None
    """True where another policy (a teacher, an expert) produced the token; None: nowhere."""
    entropy_N: Tensor | None = None
    """Entropy of the current distribution at each token; with gradient if a regulariser asks for it."""
    reference_logp_N: Tensor | None = None
    """Under the reference policy; present if a part asks for it."""
    teacher_logp_N: Tensor | None = None
    """Under the teacher; present if a part asks for it."""
    logits_NV: Tensor | None = None
    """The current logits, before the temperature, with gradient; present if a part asks for distributions."""
    teacher_logits_NV: Tensor | None = None
    """The teacher's logits at the same tokens; present if a part asks for them."""

    def need(self, field: str) -> Tensor:
        """Return an optional field, or raise `ValueError` naming what is missing."""
        value: Tensor | None = getattr(self, field)
        if value is None:
            raise ValueError(f"this part of the loss needs `{field}` in its TokenBatch")
        return value


class LossPart(Part):
    """Base of the parts of a loss. What they ask for, class by class, is computed only then."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """Of "entropy", "reference", "teacher", "distributions", "teacher_distributions", "proximal"."""
    fits: ClassVar[bool] = False
    """Whether `fit` takes statistics: the tokens of the whole optimiser step are then scored first."""

    def fit(self, batch: TokenBatch) -> Self:
        """Return the part as it stands for one optimiser step.

        `batch` holds all tokens of the step, with the weights as they are before it and without gradient.
        """
        return self
