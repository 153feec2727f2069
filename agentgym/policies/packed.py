"""One forward over packed tokens of many conversations: in which way a model is best computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from transformers import PreTrainedModel

from agentgym.core.errors import ConfigError
from agentgym.policies.attention import evaluation_mode, pack, slot_attention_in, token_positions
from agentgym.policies.decoder import Decoder, UnlikeDecoderError
from agentgym.policies.kv_cache import RowSpan, SlotCache


class Forward(Protocol):
    """Computes packed tokens of many conversations."""

    def __call__(
        self, cache: SlotCache, spans: Sequence[RowSpan], ids: Sequence[int], keep: Sequence[int]
    ) -> torch.Tensor:
        """Feed packed tokens and return logits `[len(keep), V]` after the last token of the spans `keep`."""
        ...

    def weights_changed(self) -> None:
        """Forget what was derived from the weights as they were."""
        ...


class ModuleForward:
    """Calls the modules of any decoder-only transformers model, with its attention swapped."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def __call__(
        self, cache: SlotCache, spans: Sequence[RowSpan], ids: Sequence[int], keep: Sequence[int]
    ) -> torch.Tensor:
        """Feed packed tokens and return logits `[len(keep), V]` after the last token of the spans `keep`."""
        device = self._model.device
        ends = torch.tensor([span.new for span in spans]).cumsum(0) - 1
        forward: Any = self._model
        with slot_attention_in(self._model):
            output = forward(
                input_ids=torch.tensor([ids], device=device),
                position_ids=torch.from_numpy(token_positions(spans)).to(device)[None],
                use_cache=False,
                logits_to_keep=ends[list(keep)].to(device),
                slot_batch=pack(cache, spans, device),
            )
        return output.logits[0]

    def weights_changed(self) -> None:
        """The modules hold the weights themselves."""


@torch.inference_mode()
def open_forward(model: PreTrainedModel, max_context: int) -> Forward:
    """Return the fastest way to compute `model` that gives the logits of its own forward.

    Raises `ConfigError` where none does: a slot cache cannot hold recurrent states, position biases or
    attention sinks.
    """
    general = ModuleForward(model)
    advice = "Use a decoder-only model with full attention (Qwen3, Llama, ...), or serve it over an endpoint."
    name = type(model).__name__
    try:
        expected = _own_logits(model)
        difference = _difference(general, model, expected, max_context)
    except (ConfigError, TypeError, AttributeError, RuntimeError) as error:
        raise ConfigError(f"{name} cannot generate with a cache kept in slots: {error} {advice}") from error
    tolerance = _tolerance(expected)
    if not difference <= tolerance:
        raise ConfigError(
            f"{name} gives other logits with a cache kept in slots (off by {difference:.3g}, allowed "
            f"{tolerance:.3g}): its attention is not plain causal attention. {advice}"
        )
    if model.device.type == "cpu":
        try:
            decoder = Decoder(model)
            if _difference(decoder, model, expected, max_context) <= tolerance:
                return decoder
        except UnlikeDecoderError:
            pass
    return general


def _own_logits(model: PreTrainedModel) -> torch.Tensor:
    """Return what the model itself says after the probe, `[V]`."""
    own: Any = model
    with evaluation_mode(model):
        return own(input_ids=torch.tensor([_probe(model)], device=model.device), use_cache=False).logits[
            0, -1
        ]


def _difference(
    forward: Forward, model: PreTrainedModel, expected_V: torch.Tensor, max_context: int
) -> float:
    """Return how far the logits after the probe are off when its tokens come in pieces."""
    ids = _probe(model)
    cache = SlotCache(1, max_context)
    cache.reserve(1, len(ids))
    logits = expected_V
    for first, last in ((0, 5), (5, 6), (6, len(ids))):
        logits = forward(cache, [RowSpan(0, first, last - first)], ids[first:last], [0])[0]
    return float((logits.float() - expected_V.float()).abs().max())


def _tolerance(expected_V: torch.Tensor) -> float:
    scale = 1.0 + float(expected_V.abs().max())
    return (1e-3 if expected_V.dtype == torch.float32 else 0.1) * scale


def _probe(model: PreTrainedModel) -> list[int]:
    config: Any = model.config
    return [(7 * index + 3) % config.vocab_size for index in range(11)]
