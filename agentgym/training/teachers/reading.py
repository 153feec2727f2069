"""Lessons from a model that reads the student's own tokens, in the student's context or in another.

Legend: N trained tokens of the batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from agentgym.core.trace import Episode
from agentgym.training.attention import packed_attention
from agentgym.training.packing import MicroBatch, micro_batches, pack
from agentgym.training.scoring import forward_logits, score_tokens
from agentgym.training.teachers.base import Lesson, Surroundings
from agentgym.training.token_tree import depths
from agentgym.training.tokens import Floats


class Reading(Lesson):
    """A model's view of the episodes' trained tokens.

    `episodes` has them in the contexts the model is to see; their trained tokens are numbered as in the
    batch. The model says nothing about tokens that are not `told_N`, nor about those past its longest context.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        episodes: Sequence[Episode],
        told_N: NDArray[np.bool_],
        around: Surroundings,
    ) -> None:
        self._model = model
        self._temperature = around.temperature
        self._tokens_per_microbatch = around.tokens_per_microbatch
        longest = getattr(model.config, "max_position_embeddings", None) or np.inf
        fitting = (
            row.only(told_N[row.token] & (depths(row.parent)[row.target] < longest)) for row in pack(episodes)
        )
        self._rows = [row for row in fitting if row is not None]
        self._count = len(told_N)

    def logp(self) -> Floats:
        """Return the model's log-probability of each token; see `Lesson`."""
        return score_tokens(
            self._model,
            self._rows,
            self._count,
            temperature=self._temperature,
            tokens_per_microbatch=self._tokens_per_microbatch,
        ).logp_N

    @torch.no_grad()
    def __call__(self, batch: MicroBatch) -> Tensor:
        """Return the model's logits at the tokens of a micro-batch of the student's; see `Lesson`."""
        place_N = np.full(self._count, -1)
        place_N[batch.token_N] = np.arange(len(batch.token_N))
        wanted = [row for row in self._rows if (place_N[row.token] >= 0).any()]
        device = batch.ids_L.device
        width = int(self._model.config.vocab_size)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        logits_NV = torch.full((len(batch.token_N), width), torch.nan, device=device)
        with packed_attention(self._model):
            for own in micro_batches(wanted, self._tokens_per_microbatch, self._model.device):
                here = np.flatnonzero(place_N[own.token_N] >= 0)
                places = torch.from_numpy(place_N[own.token_N[here]]).to(device)
                logits_NV[places] = forward_logits(self._model, own)[torch.from_numpy(here)].to(device)
        return logits_NV
