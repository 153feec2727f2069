"""The common decoder, computed from a model's weights alone, without its modules.

Qwen2, Qwen3, Llama, Mistral and others are one architecture: an RMS norm before each half of a layer, rotary
positions, key heads shared by groups of query heads, a gated MLP. A layer is nine calls here where transformers
makes sixty: four matrix products, whose weights are copied into the layout that the processor's matrix
kernels like best, and what lies between them (see `agentgym.policies.kernels`).

Shapes: N packed tokens; E hidden size; H query heads; K key/value heads; D head size; V tokens known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import embedding, linear
from transformers import PreTrainedModel

from agentgym.policies.attention import PackedBatch, pack
from agentgym.policies.kernels import Heads, Kernels, Norm
from agentgym.policies.kernels.building import kernels_for
from agentgym.policies.kv_cache import KeyValueCache, RowSpan

# Rotary frequencies that stay the same for every length.
_STATIC_ROTARY = ("default", "linear", "llama3", "yarn")
# The layout of a packed weight is chosen for a number of rows; this one serves all numbers well.
_PACKED_FOR_ROWS = 32
_mkldnn: Any = torch.ops.mkldnn


class UnlikeDecoderError(Exception):
    """The model is not the common decoder; says where it differs."""


class Decoder:
    """Computes packed tokens as `model` would. Raises `UnlikeDecoderError` where that is another architecture.

    Holds copies of the matrices: twice the model's memory.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model: Any = model
        self._device = model.device
        _check_architecture(self._model)
        self._stale = True

    def weights_changed(self) -> None:
        """Take the weights anew before the next tokens."""
        self._stale = True

    @torch.no_grad()
    def _take_weights(self) -> None:
        self._stale = False
        self._kernels = kernels_for(self._device, self._model.dtype)
        body = self._model.model
        self._embedding_VE: torch.Tensor = body.embed_tokens.weight
        self._layers = [_Layer.of(layer) for layer in body.layers]
        self._norm = _norm(body.norm)
        self._head = _Product(self._model.lm_head.weight, None)
        rotary = body.rotary_emb
        self._frequency: torch.Tensor = rotary.inv_freq.to(self._device, torch.float32)
        self._amplitude = torch.tensor(float(rotary.attention_scaling), device=self._device)

    def __call__(
        self, cache: KeyValueCache, spans: Sequence[RowSpan], ids: Sequence[int], keep: Sequence[int]
    ) -> torch.Tensor:
        """Feed packed tokens and return the logits `[len(keep), V]` after those numbered `keep`."""
        if self._stale:
            self._take_weights()
        kernels = self._kernels
        batch = pack(cache, spans, self._device, leave_alone=kernels.attends_alone)
        angle_N1F = batch.places.position_N[:, None, None] * self._frequency
        rotation_N1F = torch.polar(self._amplitude, angle_N1F)
        hidden_NE = embedding(torch.tensor(ids, device=self._device), self._embedding_VE)
        added_NE: torch.Tensor | None = None
        for index, layer in enumerate(self._layers):
            added_NE = layer(kernels, index, hidden_NE, added_NE, rotation_N1F, batch)
        normed_NE = kernels.add_norm(hidden_NE, added_NE, self._norm)
        kept = torch.tensor(keep, dtype=torch.long, device=self._device)
        return self._head(normed_NE.index_select(0, kept))


class _Product:
    """`x @ weight.T + bias`, with the weight packed for the processor where torch can do that."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._packs = weight.device.type == "cpu" and _packable(weight.dtype)
        self._weight = (
            _mkldnn._reorder_linear_weight(weight.contiguous(), _PACKED_FOR_ROWS) if self._packs else weight
        )
        self._bias = bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self._packs:
            return _mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return linear(x, self._weight, self._bias)


def _packable(dtype: torch.dtype) -> bool:
    if not torch.backends.mkldnn.is_available():
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and _mkldnn._is_mkldnn_bf16_supported())


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of the decoder. J = H + K counts the heads that are rotated, queries' and keys'."""

    before_attention: Norm
    before_mlp: Norm
    project: _Product
    """To queries, keys and values."""
    head_norm: Norm | None
    """One row for each query head and each key head."""
    leave: _Product
    gate_and_up: _Product
    down: _Product
    heads: Heads
    scale: float

    def __call__(
        self,
        kernels: Kernels,
        index: int,
        hidden_NE: torch.Tensor,
        added_NE: torch.Tensor | None,
        rotation_N1F: torch.Tensor,
        batch: PackedBatch,
    ) -> torch.Tensor:
        """Return what is to be added to `hidden_NE`, after adding to it what the layer before returned."""
        projected_NX = self.project(kernels.add_norm(hidden_NE, added_NE, self.before_attention))
        query_NHD, held = kernels.place(projected_NX, self.heads, self.head_norm, rotation_N1F, index, batch)
        attended_NHD = kernels.attend(query_NHD, held, batch, self.scale)
        added_NE = self.leave(attended_NHD.reshape(len(hidden_NE), -1))
        normed_NE = kernels.add_norm(hidden_NE, added_NE, self.before_mlp)
        return self.down(kernels.gate(self.gate_and_up(normed_NE)))

    @classmethod
    def of(cls, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        size: int = attention.head_dim
        heads, kv_heads = (len(part.weight) // size for part in (attention.q_proj, attention.k_proj))
        query, key = _paired(attention.q_proj, size), _paired(attention.k_proj, size)
        head_norm = None
        if hasattr(attention, "q_norm"):
            order = _pair_order(size)
            counts = ((attention.q_norm, heads), (attention.k_norm, kv_heads))
            weights = [norm.weight[order].float().expand(count, -1) for norm, count in counts]
            head_norm = Norm(torch.cat(weights), attention.q_norm.variance_epsilon)
        return cls(
            before_attention=_norm(layer.input_layernorm),
            before_mlp=_norm(layer.post_attention_layernorm),
            project=_stacked(query, key, _parameters(attention.v_proj)),
            head_norm=head_norm,
            leave=_stacked(_parameters(attention.o_proj)),
            gate_and_up=_stacked(_parameters(mlp.gate_proj), _parameters(mlp.up_proj)),
            down=_stacked(_parameters(mlp.down_proj)),
            heads=Heads(heads, kv_heads, size),
            scale=attention.scaling,
        )


def _norm(module: Any) -> Norm:
    return Norm(module.weight.contiguous(), module.variance_epsilon)


def _stacked(*parts: tuple[torch.Tensor, torch.Tensor | None]) -> _Product:
    """Return the product with several weights, one after another."""
    biases = [bias for _, bias in parts if bias is not None]
    return _Product(torch.cat([weight for weight, _ in parts]), torch.cat(biases) if biases else None)


def _parameters(module: nn.Linear) -> tuple[torch.Tensor, torch.Tensor | None]:
    return module.weight, module.bias


def _paired(module: nn.Linear, size: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the parameters with the two numbers that are rotated together next to each other.

    Queries and keys change alike, so their products stay what they were.
    """
    heads = torch.arange(len(module.weight) // size, device=module.weight.device)
    order = (heads[:, None] * size + _pair_order(size).to(heads.device)).flatten()
    weight, bias = _parameters(module)
    return weight[order], None if bias is None else bias[order]


def _pair_order(size: int) -> torch.Tensor:
    return torch.arange(size).view(2, size // 2).T.flatten()


def _check_architecture(model: Any) -> None:
    """Compare the modules with those that `Decoder` knows; raise `UnlikeDecoderError` at the first difference."""
    _expect_parts(model, "model", "lm_head")
    body = model.model
    _expect_parts(body, "embed_tokens", "layers", "norm", "rotary_emb")
    rotary: str = model.config.rope_parameters.get("rope_type", "default")
    _expect(rotary in _STATIC_ROTARY, f"rotary positions of type {rotary!r}")
    _expect(type(body.embed_tokens) is nn.Embedding, "an embedding of its own kind")
    _expect(len({parameter.dtype for parameter in model.parameters()}) == 1, "weights of several dtypes")
    projections, norms = [model.lm_head], [body.norm]
    for layer in body.layers:
        _expect_parts(layer, "self_attn", "mlp", "input_layernorm", "post_attention_layernorm")
        attention, mlp = layer.self_attn, layer.mlp
        normed = ("q_norm", "k_norm") if hasattr(attention, "q_norm") else ()
        _expect_parts(attention, "q_proj", "k_proj", "v_proj", "o_proj", *normed)
        _expect_parts(mlp, "gate_proj", "up_proj", "down_proj", "act_fn")
        _expect(model.config.hidden_act == "silu", f"the activation {model.config.hidden_act!r}")
        _expect(2 * body.rotary_emb.inv_freq.numel() == attention.head_dim, "heads that are rotated in part")
        norms += [layer.input_layernorm, layer.post_attention_layernorm]
        norms += [getattr(attention, name) for name in normed]
        projections += [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
        projections += [mlp.gate_proj, mlp.up_proj, mlp.down_proj]
    _expect(all(type(part) is nn.Linear for part in projections), "a projection that is not nn.Linear")
    _expect(all(hasattr(norm, "variance_epsilon") for norm in norms), "a norm that is not RMSNorm")
    hooked = any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    _expect(not hooked, "forward hooks")


def _expect_parts(module: Any, *names: str) -> None:
    found = {name for name, _ in module.named_children()}
    _expect(found == set(names), f"a {type(module).__name__} of {', '.join(sorted(found))}")


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise UnlikeDecoderError(f"The model has {otherwise}.")
