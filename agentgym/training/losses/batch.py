"""What a loss sees of the trained tokens, and the base of the parts that see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
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
    staleness_N: Tensor | None = None
    """Iterations since the policy that produced the token was the current one; 0: its own iteration."""
    iteration: int = 0
    """Of the run, counted from 0."""

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
    """Whether `fit` takes statistics over the whole optimiser step."""
    fits_logp: ClassVar[bool] = True
    """Whether `fit` reads the current log-probabilities, for which all the step's tokens are scored first. Where it
    does not, they may be NaN in the batch it gets."""
    only_credited: ClassVar[bool] = False
    """Whether tokens with advantage 0 play no part in it, not even in `fit`; they are then not computed."""

    def fit(self, batch: TokenBatch) -> Self:
        """Return the part as it stands for one optimiser step.

        `batch` holds all tokens of the step, with the weights as they are before it and without gradient.
        """
        return self


def of_batch(part: LossPart, fitted_N: Tensor | None, batch: TokenBatch) -> Tensor:
    """Return the entries of a column that `part` fitted to the whole step which belong to a micro-batch."""
    if fitted_N is None:
        raise ValueError(f"{part.name!r} must be fitted to the step's tokens before it is called")
    return fitted_N[batch.need("token_N")]


def sums_by(index_N: Tensor, values_N: Tensor) -> Tensor:
    """Return the sum of the values that share an index, shape (largest index + 1,)."""
    size = int(index_N.max()) + 1 if len(index_N) else 0
    return values_N.new_zeros(size).index_add(0, index_N, values_N)


def means_by(index_N: Tensor, values_N: Tensor) -> Tensor:
    """Return the mean of the values that share an index, shape (largest index + 1,); 0 for indices without any."""
    return sums_by(index_N, values_N) / sums_by(index_N, torch.ones_like(values_N)).clamp(min=1.0)
