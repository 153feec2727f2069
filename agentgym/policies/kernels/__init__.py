"""What a decoder does between its matrix products: compiled for this machine's processor, or with torch.

Shapes as in `agentgym.policies.decoder`; M is the size within the MLP, J = H + K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch

from agentgym.policies.attention import PackedBatch
from agentgym.policies.kv_cache import LayerCache


@dataclass(frozen=True, slots=True)
class Norm:
    """An RMS norm: `[E]`, or `[J, D]` for a norm of each head."""

    weight: torch.Tensor
    epsilon: float


@dataclass(frozen=True, slots=True)
class Heads:
    """How many heads a layer has, and how many numbers each."""

    query: int
    key: int
    size: int


class SampledTokens(NamedTuple):
    """Token ids, and their log-probabilities in nats, `[B]` each."""

    ids_B: torch.Tensor
    logprobs_B: torch.Tensor


class Kernels(Protocol):
    """The steps between two matrix products, and the one after the last."""

    @property
    def attends_alone(self) -> bool:
        """Whether tokens that are the only new ones of their rows are attended without a plan of runs."""
        ...

    def add_norm(self, hidden_NE: torch.Tensor, added_NE: torch.Tensor | None, norm: Norm) -> torch.Tensor:
        """Add to `hidden_NE` in place, and return its norm `[N, E]`."""
        ...

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
        ...

    def attend(
        self, query_NHD: torch.Tensor, held: LayerCache, batch: PackedBatch, scale: float
    ) -> torch.Tensor:
        """Attend to the cache; returns `[N, H, D]`."""
        ...

    def gate(self, gate_and_up_NX: torch.Tensor) -> torch.Tensor:
        """Return `silu(gate) * up`, `[N, M]` from `[N, 2 * M]`."""
        ...

    def draw(
        self, logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature_B: torch.Tensor
    ) -> SampledTokens:
        """Draw a token of each row by inverting the cumulative distribution at `uniforms_B`, in [0, 1).

        Log-probabilities are those at the temperature. Rows with temperature 0 take the most likely token,
        with its log-probability at temperature 1. Where logits are not finite, log-probabilities are not.
        """
        ...
