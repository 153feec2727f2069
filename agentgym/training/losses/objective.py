"""The objective: the parts of a recipe that make the loss, put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from agentgym.training.losses.aggregations import Aggregation, TokenMean
from agentgym.training.losses.batch import LossPart, TokenBatch
from agentgym.training.losses.clips import Clip, Clipped, PpoClip
from agentgym.training.losses.corrections import Correction, TruncatedImportance
from agentgym.training.losses.ratios import Ratio, TokenRatio
from agentgym.training.losses.regularisers import Regulariser

GuidedLoss: TypeAlias = Callable[[TokenBatch], Clipped]
"""The loss of each token as that of one that another policy produced."""

GAP_CAP = 2.0
"""Where the importance weights that make up for a sampler's gap are truncated."""


class Losses(NamedTuple):
    """What an objective says of each token, shape (N,) each."""

    loss_N: Tensor
    """Before aggregation."""
    clipped_N: Tensor
    """Which tokens the clip left without gradient."""
    log_ratio_N: Tensor
    """The log of the importance ratio that the clip saw, without gradient."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The parts of a recipe that make the loss."""

    ratio: Ratio = field(default_factory=TokenRatio)
    clip: Clip = field(default_factory=PpoClip)
    regularisers: Sequence[Regulariser] = ()
    aggregation: Aggregation = field(default_factory=TokenMean)
    temperature: float = 1.0
    """The sampling temperature, at which log-probabilities are compared."""
    gap_limit: float = math.inf
    """Largest mean absolute gap, in nats, between the sampler's log-probabilities and the trainer's."""
    corrections: Sequence[Correction] = ()
    guided: GuidedLoss | None = None
    """Takes the place of ratio, clip and corrections where a token is guided."""

    @property
    def parts(self) -> tuple[LossPart, ...]:
        """Every part that sees tokens."""
        return (self.ratio, self.clip, *self.corrections, *self.regularisers)

    @property
    def needs(self) -> frozenset[str]:
        """What the parts ask for (`LossPart.needs`)."""
        return frozenset(need for part in self.parts for need in part.needs)

    @property
    def fits(self) -> bool:
        """Whether a part takes statistics over the whole optimiser step."""
        return any(part.fits for part in self.parts)

    @property
    def fits_logp(self) -> bool:
        """Whether such a part reads the current log-probabilities."""
        return any(part.fits and part.fits_logp for part in self.parts)

    @property
    def fits_uncredited(self) -> bool:
        """Whether such a part reads the tokens with advantage 0 too."""
        return any(part.fits and part.fits_logp and not part.only_credited for part in self.parts)

    @property
    def differentiates_entropy(self) -> bool:
        """Whether the entropies must carry a gradient."""
        return any(term.differentiates_entropy for term in self.regularisers)

    def corrected(self) -> Objective:
        """Return the objective with what the sampler did otherwise than the proximal policy made up for, by a
        truncated importance weight on each token, and without a limit on the gap."""
        there = any(isinstance(part, TruncatedImportance) for part in self.corrections)
        added = () if there else (TruncatedImportance(cap=GAP_CAP),)
        return replace(self, gap_limit=math.inf, corrections=(*self.corrections, *added))

    def fit(self, batch: TokenBatch) -> Objective:
        """Return the objective as it stands for one optimiser step over `batch`, which has no gradient."""
        return replace(
            self,
            ratio=self.ratio.fit(batch),
            clip=self.clip.fit(batch),
            corrections=tuple(part.fit(batch) for part in self.corrections),
            regularisers=tuple(part.fit(batch) for part in self.regularisers),
        )

    def __call__(self, batch: TokenBatch) -> Losses:
        """Return the loss of each token and what it was made of."""
        log_ratio_N = self.ratio(batch)
        loss_N, clipped_N = self.clip(log_ratio_N, batch)
        for correction in self.corrections:
            loss_N = loss_N * correction(batch)
        if self.guided is not None and batch.guided_N is not None:
            guided = self.guided(batch)
            loss_N = torch.where(batch.guided_N, guided.loss_N, loss_N)
            clipped_N = torch.where(batch.guided_N, guided.clipped_N, clipped_N)
        for term in self.regularisers:
            loss_N = loss_N + term.coefficient * term(batch)
        return Losses(loss_N, clipped_N, log_ratio_N.detach())
