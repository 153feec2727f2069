"""Sums over an iteration's trained tokens, from which its metrics are made."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.objective import Losses


@dataclass(slots=True)
class Tally:
    """Sums over trained tokens, from which an iteration's metrics are made."""

    tokens: int = 0
    computed_tokens: int = 0
    loss: float = 0.0
    entropy: float = 0.0
    clipped: float = 0.0
    kl: float = 0.0
    gap: float = 0.0
    gap_max: float = 0.0
    gap_tokens: int = 0
    gap_corrected: bool = False
    """Whether importance weights make up for the gap."""
    staleness: float = 0.0
    grad_norms: list[float] = field(default_factory=list[float])
    """Of the steps that changed the weights."""
    steps_without_update: int = 0
    """Steps in which nothing left a gradient: no tokens, or no advantage and no regulariser."""

    @property
    def gap_mean(self) -> float:
        """Mean absolute gap between the sampler's and the trainer's log-probabilities, in nats."""
        return self.gap / max(self.gap_tokens, 1)

    def metrics(self) -> dict[str, float]:
        """Return per-token means, and the mean gradient norm."""
        count = max(self.tokens, 1)
        return {
            "loss": self.loss / max(len(self.grad_norms), 1),
            "entropy": self.entropy / count,
            "clip_share": self.clipped / count,
            "kl": self.kl / count,
            "gap_mean": self.gap_mean,
            "gap_max": self.gap_max,
            "gap_corrected": float(self.gap_corrected),
            "staleness": self.staleness / count,
            "grad_norm": float(np.mean(self.grad_norms)) if self.grad_norms else 0.0,
            "steps": float(len(self.grad_norms)),
            "steps_without_update": float(self.steps_without_update),
            "trained_tokens": float(self.tokens),
            "computed_tokens": float(self.computed_tokens),
        }

    @torch.no_grad()
    def count(self, tokens: TokenBatch, computed_tokens: int, losses: Losses) -> None:
        """Add a micro-batch."""
        self.tokens += len(tokens.logp_N)
        self.computed_tokens += computed_tokens
        self.entropy += float(tokens.need("entropy_N").sum())
        self.clipped += float(losses.clipped_N.sum())
        self.staleness += float(tokens.need("staleness_N").sum())
        if tokens.reference_logp_N is not None:
            self.kl += float((tokens.logp_N - tokens.reference_logp_N).sum())
        if not self.grad_norms:  # before the iteration's first step, where both should agree
            own_N = ~tokens.need("guided_N") & (tokens.need("staleness_N") == 0)
            gap_N = (tokens.logp_N - tokens.need("sampler_logp_N")).abs()[own_N]
            self.gap += float(gap_N.sum())
            self.gap_tokens += len(gap_N)
            self.gap_max = max(self.gap_max, float(gap_N.max()) if len(gap_N) else 0.0)
