"""Scoring: what a model thinks of tokens, without learning from them.

Legend: N trained tokens, L tokens of a micro-batch, V vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentgym.training.attention import check_attended, packed_attention, read_at
from agentgym.training.packing import MicroBatch, Row, micro_batches
from agentgym.training.tokens import Floats

# oneDNN keeps a compiled product for each shape it has met, and packed rows seldom repeat a shape: a thousand of
# them take more memory than the model. Read by oneDNN at its first product.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")


class Scores(NamedTuple):
    """Log-probability of each token and entropy of its distribution, in nats, shape (N,). NaN: not scored."""

    logp_N: Floats
    entropy_N: Floats


@torch.no_grad()
def score_tokens(
    model: PreTrainedModel, rows: Sequence[Row], count: int, *, temperature: float, tokens_per_microbatch: int
) -> Scores:
    """Score the trained tokens of `rows` at `temperature`; `count` is the length of their token table."""
    scores = Scores(np.full(count, np.nan, np.float32), np.full(count, np.nan, np.float32))
    with packed_attention(model), fast_matmul(model.device):
        for batch in micro_batches(rows, tokens_per_microbatch, model.device):
            logp_NV = (forward_logits(model, batch) / temperature).log_softmax(-1)
            scores.logp_N[batch.token_N] = logp_of(logp_NV, batch.target_ids_N).cpu().numpy()
            scores.entropy_N[batch.token_N] = entropy_of(logp_NV).cpu().numpy()
    return scores


def logp_of(logp_NV: Tensor, ids_N: Tensor) -> Tensor:
    """Return the entry of each row that its id names, shape (N,)."""
    return logp_NV.gather(-1, ids_N[:, None])[:, 0]


def entropy_of(logp_NV: Tensor) -> Tensor:
    """Return the entropy of each row, a log-distribution, in nats, shape (N,)."""
    return -(logp_NV.exp() * logp_NV).sum(-1)


def forward_logits(model: PreTrainedModel, batch: MicroBatch) -> Tensor:
    """Return the logits that predict the trained tokens, float32, shape (N, V). Needs `packed_attention`."""
    with read_at(model, batch.layout, batch.source_N):
        output: Any = model(
            input_ids=batch.ids_L[None],
            position_ids=batch.positions_L[None],
            layout=batch.layout,
            logits_to_keep=batch.source_N,
            use_cache=False,
        )
    check_attended(model, batch.layout)
    return output.logits[0].float()


@contextmanager
def fast_matmul(device: torch.device) -> Generator[None]:
    """Let CPU matrix products take oneDNN: still float32 without matrix units, twice as fast as the default.

    It slows single-row products down, so it is on during updates only. Other devices are left alone.
    """
    before = torch.get_float32_matmul_precision()
    if device.type == "cpu":
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
