"""A probe: are a sampler's log-probabilities those of the trainer's model?

An engine with weights of its own can be wrong without a sign: an update that did not arrive, or keys and values that
older weights left in its cache. So after every update it continues fixed prompts, the same each time and long enough
to be cached, and what it says of its tokens is held against a plain forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from agentgym.core.errors import InferenceFault

ANSWER_TOKENS = 16
"""Sampled after each prompt."""
_LENGTHS = (5, 60, 300, 600)
"""Of the prompts, in tokens: under one block of a cache, and several."""

Ids = Sequence[int]


class Probed(NamedTuple):
    """One prompt with what a sampler made of it."""

    context: Ids
    completion: Ids
    logprobs: Sequence[float]
    """At temperature 1, in nats."""


def probe_prompts(vocab_size: int, max_context: int) -> list[list[int]]:
    """Return the prompts for a model: random ids, the same for every call."""
    random = np.random.default_rng(0)
    most = max_context - ANSWER_TOKENS
    lengths = sorted({max(1, min(length, most)) for length in _LENGTHS})
    return [random.integers(0, vocab_size, length).tolist() for length in lengths]


def probe_limit(model: PreTrainedModel) -> float:
    """Return the largest difference in nats that rounding explains in the model's precision."""
    return 1e-3 if model.dtype == torch.float32 else 0.25


@torch.no_grad()
def check_probe(model: PreTrainedModel, probed: Sequence[Probed], limit: float) -> float:
    """Return the largest difference between the sampler and `model` over all tokens, in nats.

    Raises `InferenceFault` where it is above `limit`, or where the sampler gave no tokens.
    """
    forward: Any = model
    was_training = model.training
    model.eval()
    gaps: list[float] = []
    for context, completion, logprobs in probed:
        ids = torch.tensor([[*context, *completion]], device=model.device)
        logits = forward(input_ids=ids, use_cache=False).logits[0, len(context) - 1 : -1]
        logp = torch.log_softmax(logits.float(), dim=-1)
        wanted = logp.gather(1, ids[0, len(context) :, None])[:, 0].cpu().numpy()
        gaps += np.abs(wanted - np.array(logprobs, np.float32)).tolist()
    model.train(was_training)
    if not gaps:
        raise InferenceFault("The sampler gave no tokens for the probe after its weight update.")
    worst = float(np.max(gaps))  # NaN where any is
    if not worst <= limit:
        raise InferenceFault(
            f"After its weight update the sampler is {worst:.3g} nats off the trainer's model on the worst of "
            f"{len(gaps)} probe tokens, {float(np.mean(gaps)):.3g} in the mean (limit {limit:g}): it does not hold "
            "the trainer's weights, or keeps keys and values of older ones. Nothing more is sampled; go on with "
            '`rollout.engine = "local"`, or with another version of the engine.'
        )
    return worst
