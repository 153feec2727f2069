"""One-token rollouts: reinforcement at every token of an expert's answer, without playing."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor

from agentgym.training.losses.batch import TokenBatch, of_batch
from agentgym.training.losses.clips import Clip, Clipped, unclipped


class OneToken(Clip, name="one_token"):
    """One-token rollout (arXiv 2509.26313): at each token of a demonstration the policy draws `samples` tokens,
    which earn 1 where they are the expert's and `miss` otherwise; the loss is -A x reward x log p, averaged over
    the draws.

    `miss` is subtracted from all rewards as a baseline, which changes no expected gradient: so only the
    expert's own token is ever learned from, (1 - miss) x hits / samples times.
    """

    samples: int = Field(default=8, ge=1)
    miss: float = Field(default=0.0, le=0)
    """What another token than the expert's earns: 0, or a little less."""
    fits: ClassVar[bool] = True
    fits_logp: ClassVar[bool] = False
    _draw_NK: Tensor | None = PrivateAttr(default=None)

    def fit(self, batch: TokenBatch) -> Self:
        """Return the clip with its dice thrown; they depend on the iteration and on nothing else."""
        generator = torch.Generator().manual_seed(batch.iteration)
        draw_NK = torch.rand(len(batch.turn_N), self.samples, generator=generator)
        fitted = self.model_copy()
        fitted._draw_NK = draw_NK.to(batch.turn_N.device)
        return fitted

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return -A x (1 - miss) x hits / samples x log p; nothing is clipped."""
        # A drawn token is the expert's exactly as often as the policy would say it.
        hit_NK = of_batch(self, self._draw_NK, batch) < batch.logp_N.detach().exp()[:, None]
        reward_N = (1.0 - self.miss) * hit_NK.float().mean(-1)
        return unclipped(-batch.advantage_N * reward_N * batch.logp_N)
