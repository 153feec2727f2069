"""One forward over packed tokens of many conversations, and the check that a model can do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from agentgym.core.errors import ConfigError
from agentgym.policies.attention import evaluation_mode, pack, slot_attention_in, token_positions
from agentgym.policies.kv_cache import RowSpan, SlotCache


def forward_packed(
    model: PreTrainedModel,
    cache: SlotCache,
    spans: Sequence[RowSpan],
    ids: Sequence[int],
    keep: Sequence[int],
) -> torch.Tensor:
    """Feed packed tokens and return float logits `[len(keep), V]` after the last token of the rows `keep`."""
    device = model.device
    ends = torch.tensor([span.new for span in spans]).cumsum(0) - 1
    forward: Any = model
    with slot_attention_in(model):
        output = forward(
            input_ids=torch.tensor([ids], device=device),
            position_ids=torch.from_numpy(token_positions(spans)).to(device)[None],
            use_cache=False,
            logits_to_keep=ends[list(keep)].to(device),
            slot_batch=pack(cache, spans, device),
        )
    return output.logits[0]


@torch.inference_mode()
def check_supported(model: PreTrainedModel, cache: SlotCache) -> None:
    """Compare cached, packed generation with the model's own forward; raises `ConfigError` where they differ.

    Catches what the slot cache cannot hold: recurrent states, position biases, attention sinks.
    """
    config: Any = model.config
    own: Any = model
    size = 11
    ids = [(7 * index + 3) % config.vocab_size for index in range(size)]
    first = size // 2
    advice = "Use a decoder-only model with full attention (Qwen3, Llama, ...), or serve it over an endpoint."
    name = type(model).__name__
    cache.reserve(1, size)
    try:
        forward_packed(model, cache, [RowSpan(0, 0, first)], ids[:first], [0])
        forward_packed(model, cache, [RowSpan(0, first, 1)], ids[first : first + 1], [0])
        rest = RowSpan(0, first + 1, size - first - 1)
        cached = forward_packed(model, cache, [rest], ids[first + 1 :], [0])[0]
        with evaluation_mode(model):
            inputs = torch.tensor([ids], device=model.device)
            expected = own(input_ids=inputs, use_cache=False).logits[0, -1]
    except (ConfigError, TypeError, AttributeError, RuntimeError) as error:
        raise ConfigError(f"{name} cannot generate with a cache kept in slots: {error} {advice}") from error
    scale = 1.0 + float(expected.abs().max())
    tolerance = (1e-3 if expected.dtype == torch.float32 else 0.1) * scale
    difference = float((cached.float() - expected.float()).abs().max())
    if not difference <= tolerance:
        raise ConfigError(
            f"{name} gives other logits with a cache kept in slots (off by {difference:.3g}, allowed "
            f"{tolerance:.3g}): its attention is not plain causal attention. {advice}"
        )
