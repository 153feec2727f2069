"""The steps between a decoder's matrix products, compiled for this machine's processor (`decoding.cpp`)."""

from __future__ import annotations

from ctypes import CDLL, c_float, c_int, c_int64, c_void_p
from typing import Any

import torch

from agentgym.policies.attention import PackedBatch, attend
from agentgym.policies.kernels import Heads, Norm, SampledTokens
from agentgym.policies.kv_cache import LayerCache

DTYPES = (torch.float32, torch.bfloat16)
"""What there are compiled kernels for."""
_TENSOR, _COUNT, _SCALE = c_void_p, c_int64, c_float
_ARGUMENTS = {
    "add_norm": [*[_TENSOR] * 4, _COUNT, _COUNT, _SCALE, c_int],
    "place": [*[_TENSOR] * 7, *[_COUNT] * 4, _SCALE, c_int],
    "attend": [*[_TENSOR] * 5, *[_COUNT] * 5, _SCALE, c_int],
    "gate": [*[_TENSOR] * 2, _COUNT, _COUNT, c_int],
    "draw": [*[_TENSOR] * 5, _COUNT, _COUNT, c_int],
}


class NativeKernels:
    """Works on a processor, in float32 and bfloat16 (see `Kernels`).

    Tensors must be contiguous: they are handed on as addresses.
    """

    attends_alone = True

    def __init__(self, library: CDLL) -> None:
        self._steps = {
            (step, dtype): _function(library, f"{step}_{dtype}".replace("torch.", ""), arguments)
            for step, arguments in _ARGUMENTS.items()
            for dtype in DTYPES
        }

    def add_norm(self, hidden_NE: torch.Tensor, added_NE: torch.Tensor | None, norm: Norm) -> torch.Tensor:
        """Add to `hidden_NE` in place, and return its norm `[N, E]`."""
        out_NE = torch.empty_like(hidden_NE)
        self._steps["add_norm", hidden_NE.dtype](
            hidden_NE.data_ptr(),
            None if added_NE is None else added_NE.data_ptr(),
            norm.weight.data_ptr(),
            out_NE.data_ptr(),
            *hidden_NE.shape,
            norm.epsilon,
            torch.get_num_threads(),
        )
        return out_NE

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
        tokens = len(projected_NX)
        values_NKD = projected_NX.view(tokens, -1, heads.size)[:, -heads.key :]
        held = batch.cache.layer(layer, values_NKD, values_NKD)
        query_NHD = projected_NX.new_empty(tokens, heads.query, heads.size)
        self._steps["place", projected_NX.dtype](
            projected_NX.data_ptr(),
            None if norm is None else norm.weight.data_ptr(),
            rotation_N1F.data_ptr(),
            query_NHD.data_ptr(),
            held.keys.data_ptr(),
            held.values.data_ptr(),
            batch.places.table_3N.data_ptr(),
            tokens,
            heads.query,
            heads.key,
            heads.size,
            0.0 if norm is None else norm.epsilon,
            torch.get_num_threads(),
        )
        return query_NHD, held

    def attend(
        self, query_NHD: torch.Tensor, held: LayerCache, batch: PackedBatch, scale: float
    ) -> torch.Tensor:
        """Attend to the cache; returns `[N, H, D]`."""
        if not batch.alone:
            return attend(query_NHD, held, batch.runs, scale)
        out_NHD = torch.empty_like(query_NHD)
        self._steps["attend", query_NHD.dtype](
            query_NHD.data_ptr(),
            held.keys.data_ptr(),
            held.values.data_ptr(),
            out_NHD.data_ptr(),
            batch.places.table_3N.data_ptr(),
            len(query_NHD),
            batch.alone,
            query_NHD.shape[1],
            held.kv_heads,
            query_NHD.shape[2],
            scale,
            torch.get_num_threads(),
        )
        if batch.runs:
            out_NHD[batch.alone :] = attend(query_NHD, held, batch.runs, scale)
        return out_NHD

    def gate(self, gate_and_up_NX: torch.Tensor) -> torch.Tensor:
        """Return `silu(gate) * up`, `[N, M]` from `[N, 2 * M]`."""
        tokens, both = gate_and_up_NX.shape
        out_NM = gate_and_up_NX.new_empty(tokens, both // 2)
        self._steps["gate", gate_and_up_NX.dtype](
            gate_and_up_NX.data_ptr(), out_NM.data_ptr(), tokens, both // 2, torch.get_num_threads()
        )
        return out_NM

    def draw(
        self, logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature_B: torch.Tensor
    ) -> SampledTokens:
        """Draw a token of each row by its number in [0, 1), with its log-probability."""
        rows, tokens = logits_BV.shape
        logits_BV = logits_BV.contiguous()
        uniforms_B, temperature_B = uniforms_B.float().contiguous(), temperature_B.float().contiguous()
        drawn = SampledTokens(torch.empty(rows, dtype=torch.long), torch.empty(rows, dtype=torch.float32))
        self._steps["draw", logits_BV.dtype](
            logits_BV.data_ptr(),
            uniforms_B.data_ptr(),
            temperature_B.data_ptr(),
            drawn.ids_B.data_ptr(),
            drawn.logprobs_B.data_ptr(),
            rows,
            tokens,
            torch.get_num_threads(),
        )
        return drawn


def _function(library: CDLL, name: str, arguments: list[Any]) -> Any:
    function = getattr(library, name)
    function.argtypes, function.restype = arguments, None
    return function
