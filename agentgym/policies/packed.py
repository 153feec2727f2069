"""One forward over packed tokens of many conversations: in which way a model is best computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from transformers import PreTrainedModel

from agentgym.core.errors import ConfigError
from agentgym.policies.attention import evaluation_mode, pack, slot_attention_in
from agentgym.policies.decoder import Decoder, UnlikeDecoderError
from agentgym.policies.extents import SMALLEST
from agentgym.policies.kv_cache import KeyValueCache, RowSpan


class Forward(Protocol):
    """Computes packed tokens of many conversations."""

    def __call__(
        self, cache: KeyValueCache, spans: Sequence[RowSpan], ids: Sequence[int], keep: Sequence[int]
    ) -> torch.Tensor:
        """Feed packed tokens and return the logits `[len(keep), V]` after those numbered `keep`."""
        ...

    def weights_changed(self) -> None:
        """Forget what was derived from the weights as they were."""
        ...


class ModuleForward:
    """Calls the modules of any decoder-only transformers model, with its attention swapped."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def __call__(
        self, cache: KeyValueCache, spans: Sequence[RowSpan], ids: Sequence[int], keep: Sequence[int]
    ) -> torch.Tensor:
        """Feed packed tokens and return the logits `[len(keep), V]` after those numbered `keep`."""
        device = self._model.device
        forward: Any = self._model
        batch = pack(cache, spans, device)
        with slot_attention_in(self._model):
            output = forward(
                input_ids=torch.tensor([ids], device=device),
                position_ids=batch.places.position_N[None],
                use_cache=False,
                logits_to_keep=torch.tensor(keep, dtype=torch.long, device=device),
                slot_batch=batch,
            )
        return output.logits[0]

    def weights_changed(self) -> None:
        """The modules hold the weights themselves."""


class OpenForward(NamedTuple):
    """The way a model is computed, and the bytes that one token takes in the cache."""

    forward: Forward
    bytes_per_position: int


@torch.inference_mode()
def open_forward(model: PreTrainedModel, max_context: int) -> OpenForward:
    """Return the fastest way to compute `model` that gives the logits of its own forward.

    Raises `ConfigError` where none does: a key-value cache cannot hold recurrent states, position biases or
    attention sinks.
    """
    general = ModuleForward(model)
    cache = KeyValueCache(SMALLEST, max_context)
    advice = "Use a decoder-only model with full attention (Qwen3, Llama, ...), or serve it over an endpoint."
    name = type(model).__name__
    try:
        expected_V = _own_logits(model)
        difference = _difference(general, cache, model, expected_V)
    except (ConfigError, TypeError, AttributeError, RuntimeError) as error:
        raise ConfigError(f"{name} cannot generate with a key-value cache: {error} {advice}") from error
    tolerance = _tolerance(expected_V)
    if not difference <= tolerance:
        raise ConfigError(
            f"{name} gives other logits with a key-value cache (off by {difference:.3g}, allowed "
            f"{tolerance:.3g}): its attention is not plain causal attention. {advice}"
        )
    if model.device.type == "cpu":
        try:
            decoder = Decoder(model)
            if _difference(decoder, cache, model, expected_V) <= tolerance:
                return OpenForward(decoder, cache.bytes_per_position)
        except UnlikeDecoderError:
            pass
    return OpenForward(general, cache.bytes_per_position)


def _own_logits(model: PreTrainedModel) -> torch.Tensor:
    """Return what the model itself says after the probe, `[V]`."""
    own: Any = model
    with evaluation_mode(model):
        return own(input_ids=torch.tensor([_probe(model)], device=model.device), use_cache=False).logits[
            0, -1
        ]


def _difference(
    forward: Forward, cache: KeyValueCache, model: PreTrainedModel, expected_V: torch.Tensor
) -> float:
    """Return how far the logits after the probe are off when its tokens come in pieces."""
    ids = _probe(model)
    if not cache.positions:
        cache.grow(len(ids))
    extent = cache.take(len(ids))
    assert extent is not None  # nobody else takes any
    logits_V = expected_V
    for first, last in ((0, 5), (5, 6), (6, len(ids))):
        span = RowSpan(extent, first, last - first)
        logits_V = forward(cache, [span], ids[first:last], [last - first - 1])[0]
    cache.give(extent)
    return float((logits_V.float() - expected_V.float()).abs().max())


def _tolerance(expected_V: torch.Tensor) -> float:
    scale = 1.0 + float(expected_V.abs().max())
    return (1e-3 if expected_V.dtype == torch.float32 else 0.1) * scale


def _probe(model: PreTrainedModel) -> list[int]:
    config: Any = model.config
    return [(7 * index + 3) % config.vocab_size for index in range(11)]
