"""The steps between a decoder's matrix products, with torch's own operations."""

from __future__ import annotations

import torch
from torch.nn.functional import rms_norm, silu

from agentgym.policies.attention import PackedBatch, attend
from agentgym.policies.kernels import Heads, Norm, SampledTokens
from agentgym.policies.kernels.inversion import invert
from agentgym.policies.kv_cache import LayerCache


class PlainKernels:
    """Works on every device and in every dtype (see `Kernels`)."""

    attends_alone = False

    def add_norm(self, hidden_NE: torch.Tensor, added_NE: torch.Tensor | None, norm: Norm) -> torch.Tensor:
        """Add to `hidden_NE` in place, and return its norm `[N, E]`."""
        if added_NE is not None:
            hidden_NE.add_(added_NE)
        return rms_norm(hidden_NE, norm.weight.shape, norm.weight, norm.epsilon)

    def place(
        self,
        projected_NX: torch.Tensor,
        heads: Heads,
        norm: Norm | None,
        rotation_N1F: torch.Tensor,
        layer: int,
        batch: PackedBatch,
    ) -> tuple[torch.Tensor, LayerCache]:
        """Norm and rotate the heads, write keys and values to the cache; return queries `[N, H, D]` and it."""
        tokens, rotated = len(projected_NX), heads.query + heads.key
        projected = projected_NX.view(tokens, -1, heads.size)
        heads_NJD = projected[:, :rotated].float()
        if norm is not None:
            heads_NJD = rms_norm(heads_NJD, heads_NJD.shape[-1:], None, norm.epsilon) * norm.weight
        pairs_NJF = torch.view_as_complex(heads_NJD.view(tokens, rotated, -1, 2)) * rotation_N1F
        heads_NJD = torch.view_as_real(pairs_NJF).flatten(2).to(projected.dtype)
        keys_NKD, values_NKD = heads_NJD[:, heads.query :], projected[:, rotated:]
        return heads_NJD[:, : heads.query], batch.cache.write(layer, keys_NKD, values_NKD, batch.places)

    def attend(
        self, query_NHD: torch.Tensor, held: LayerCache, batch: PackedBatch, scale: float
    ) -> torch.Tensor:
        """Attend to the cache; returns `[N, H, D]`."""
        return attend(query_NHD, held, batch.runs, scale)

    def gate(self, gate_and_up_NX: torch.Tensor) -> torch.Tensor:
        """Return `silu(gate) * up`, `[N, M]` from `[N, 2 * M]`."""
        gate, up = gate_and_up_NX.chunk(2, dim=-1)
        return silu(gate).mul_(up)

    def draw(
        self, logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature_B: torch.Tensor
    ) -> SampledTokens:
        """Draw a token of each row by its number in [0, 1), with its log-probability."""
        greedy_B = temperature_B <= 0
        scale_B = torch.where(greedy_B, torch.ones_like(temperature_B), temperature_B)
        logprobs_BV = torch.log_softmax(logits_BV.float() / scale_B[:, None], dim=-1)
        ids_B = torch.where(greedy_B, logits_BV.argmax(-1), invert(logprobs_BV.exp(), uniforms_B))
        return SampledTokens(ids_B, logprobs_BV.gather(1, ids_B[:, None])[:, 0])
