"""Causal attention in tiles that stay in the processor's cache, with their scores computed anew for the gradient.

Legend: L tokens, H query heads, E key heads, G query heads of a key head, D head dimension; Q queries, K keys and
M partly seen keys of a tile, S = G x Q rows of scores of a key head.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from agentgym.training.tiles import Tile

SCORES = 1 << 18
"""Of one product, at most (but of one key head at least): 1 MiB in float32."""


def tiled_attention(
    query_LHD: Tensor, key_LED: Tensor, value_LED: Tensor, scale: float, tiles: Sequence[Tile]
) -> Tensor:
    """Attend from the queries of each tile to the keys it sees; returns (L, H, D), 0 for tokens in no tile."""
    function: Any = _Tiled
    return function.apply(query_LHD * scale, key_LED, value_LED, tiles)


class _Tiled(Function):
    @staticmethod
    def forward(
        ctx: Any, query_LHD: Tensor, key_LED: Tensor, value_LED: Tensor, tiles: Sequence[Tile]
    ) -> Tensor:
        ctx.tiles = tiles
        out_LHD = query_LHD.new_zeros(*query_LHD.shape[:2], value_LED.shape[-1])
        heads = key_LED.shape[1]
        (room,) = _rooms(1, query_LHD, heads, tiles)
        for tile in tiles:
            query_ESD = _queries(query_LHD, tile, heads)
            key_EDK = _keys(key_LED, tile).permute(1, 2, 0).contiguous()
            value_EKD = _keys(value_LED, tile).transpose(0, 1).contiguous()
            out_ESD = query_ESD.new_empty(*query_ESD.shape[:2], value_EKD.shape[-1])
            for some in _heads_at_a_time(query_ESD, key_EDK):
                weight = _weights(query_ESD[some], key_EDK[some], tile, room)
                torch.bmm(weight, value_EKD[some], out=out_ESD[some])
            _put(out_LHD, tile, out_ESD)
        ctx.save_for_backward(query_LHD, key_LED, value_LED, out_LHD)
        return out_LHD

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        query_LHD, key_LED, value_LED, out_LHD = ctx.saved_tensors
        d_query, d_key, d_value = map(torch.zeros_like, (query_LHD, key_LED, value_LED))
        heads = key_LED.shape[1]
        room, other_room = _rooms(2, query_LHD, heads, ctx.tiles)
        for tile in ctx.tiles:
            query_ESD = _queries(query_LHD, tile, heads)
            out_ESD = _queries(out_LHD, tile, heads)
            grad_ESD = _queries(grad_outputs[0], tile, heads)
            _by_group(grad_ESD, tile)[:, :, tile.queries :] = 0
            mean_ES1 = (grad_ESD * out_ESD).sum(-1, keepdim=True)
            # The products are a third faster with the longer side of each operand in one piece.
            key_KED = _keys(key_LED, tile)
            key_EKD, key_EDK = key_KED.transpose(0, 1).contiguous(), key_KED.permute(1, 2, 0).contiguous()
            value_EDK = _keys(value_LED, tile).permute(1, 2, 0).contiguous()
            d_query_ESD, d_key_EDK, d_value_EDK = map(torch.empty_like, (query_ESD, key_EDK, value_EDK))
            for some in _heads_at_a_time(query_ESD, key_EDK):
                query, grad = query_ESD[some], grad_ESD[some]
                weight = _weights(query, key_EDK[some], tile, room)
                torch.bmm(grad.mT, weight, out=d_value_EDK[some])
                d_score = torch.bmm(grad, value_EDK[some], out=_in(other_room, weight.shape))
                d_score.sub_(mean_ES1[some]).mul_(weight)
                torch.bmm(d_score, key_EKD[some], out=d_query_ESD[some])
                torch.bmm(query.mT, d_score, out=d_key_EDK[some])
            _put(d_query, tile, d_query_ESD)
            d_key.index_add_(0, tile.key_K, d_key_EDK.permute(2, 0, 1))
            d_value.index_add_(0, tile.key_K, d_value_EDK.permute(2, 0, 1))
        return d_query, d_key, d_value, None


def _queries(values_LHD: Tensor, tile: Tile, heads: int) -> Tensor:
    """Return the values of the tile's queries by key head, shape (E, S, D)."""
    queries, size = len(tile.query_Q), values_LHD.shape[-1]
    values_QEGD = values_LHD.index_select(0, tile.query_Q).view(queries, heads, -1, size)
    return values_QEGD.permute(1, 2, 0, 3).reshape(heads, -1, size)


def _by_group(values_ESX: Tensor, tile: Tile) -> Tensor:
    """Return a view, shape (E, G, Q, X)."""
    return values_ESX.view(len(values_ESX), -1, len(tile.query_Q), values_ESX.shape[-1])


def _put(values_LHD: Tensor, tile: Tile, values_ESD: Tensor) -> None:
    """Store the values of the tile's queries."""
    values_QEGD = _by_group(values_ESD, tile).permute(2, 0, 1, 3)[: tile.queries]
    values_LHD.index_copy_(0, tile.query_Q[: tile.queries], values_QEGD.flatten(1, 2))


def _keys(values_LED: Tensor, tile: Tile) -> Tensor:
    return values_LED.index_select(0, tile.key_K)


def _rooms(count: int, query_LHD: Tensor, heads: int, tiles: Sequence[Tile]) -> list[Tensor]:
    """Return memory for the scores of the largest product, so many times, for one tile after another."""
    groups = query_LHD.shape[1] // heads
    largest = max((groups * len(tile.query_Q) * len(tile.key_K) for tile in tiles), default=0)
    size = min(max(SCORES, largest), heads * largest)
    return [query_LHD.new_empty(size) for _ in range(count)]


def _in(room: Tensor, shape: Sequence[int]) -> Tensor:
    return room[: math.prod(shape)].view(*shape)


def _heads_at_a_time(query_ESD: Tensor, key_EDK: Tensor) -> Iterator[slice]:
    heads, rows = query_ESD.shape[:2]
    step = max(SCORES // (rows * key_EDK.shape[2]), 1)
    return (slice(first, first + step) for first in range(0, heads, step))


def _weights(query_ESD: Tensor, key_EDK: Tensor, tile: Tile, room: Tensor) -> Tensor:
    """Return how much each query of the tile attends to each key, in `room`, shape (E, S, K)."""
    shape = (*query_ESD.shape[:2], key_EDK.shape[2])
    score_ESK = torch.bmm(query_ESD, key_EDK, out=_in(room, shape))
    partly = tile.hidden_QM.shape[1]
    _by_group(score_ESK, tile)[..., shape[-1] - partly :].add_(tile.hidden_QM)
    return torch.softmax(score_ESK, -1, out=score_ESK)
