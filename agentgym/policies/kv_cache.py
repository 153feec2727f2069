"""Keys and values of many conversations in one pool of bounded size.

A conversation holds an extent of positions, the smallest power of two with room for it, and moves to a
larger one as it grows: one that is long costs the others nothing. Within an extent each head's positions lie
next to each other, so that extents of one size are a tensor `[S, K, T, D]`.

Shapes: N packed tokens; P positions of the pool; S extents of one size (slots); T positions; K key/value heads; D head size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from agentgym.policies.extents import SMALLEST, Extent, ExtentPool, extent_size

_FIRST_POSITIONS = 256


class RowSpan(NamedTuple):
    """New tokens of one conversation: `new` tokens that follow `cached` ones in its extent."""

    extent: Extent
    cached: int
    new: int


class TokenPlaces:
    """Extent and position of each packed token: its extent's start and size, and its position there, `[3, N]`."""

    def __init__(self, table_3N: torch.Tensor) -> None:
        self.table_3N = table_3N
        self._index: dict[int, torch.Tensor] = {}

    @property
    def position_N(self) -> torch.Tensor:
        """The position of each packed token in its conversation."""
        return self.table_3N[2]

    def index(self, kv_heads: int) -> torch.Tensor:
        """Return the rows `[N * K]` of a layer's cache `[P * K, D]`; layers with as many heads share it."""
        if kv_heads not in self._index:
            heads_K = torch.arange(kv_heads, device=self.table_3N.device)
            start_N, size_N, position_N = self.table_3N
            row_NK = (start_N * kv_heads + position_N)[:, None] + size_N[:, None] * heads_K
            self._index[kv_heads] = row_NK.flatten()
        return self._index[kv_heads]


class LayerCache(NamedTuple):
    """One layer's keys and values, `[P * K, D]` each."""

    keys: torch.Tensor
    values: torch.Tensor
    kv_heads: int

    def slots(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values of all extents of a size, `[S, K, T, D]`."""
        count = len(self.keys) // (size * self.kv_heads)
        rows = count * size * self.kv_heads
        shape = (count, self.kv_heads, size, -1)
        return self.keys[:rows].view(shape), self.values[:rows].view(shape)


class KeyValueCache:
    """A pool of at most `max_positions` positions; grows as needed, one layer after another."""

    def __init__(self, max_positions: int, max_context: int) -> None:
        self.max_context = max_context
        self._max_positions = max_positions // SMALLEST * SMALLEST
        self._pool = ExtentPool()
        self._layers: dict[int, LayerCache] = {}

    @property
    def positions(self) -> int:
        """Positions for which there is memory."""
        return self._pool.positions

    @property
    def bytes_per_position(self) -> int:
        """Bytes of one position in all layers that have been written."""
        return sum(_row_bytes(layer) for layer in self._layers.values())

    @property
    def bytes_per_layer_position(self) -> float:
        """Bytes of one position in one layer, on average; a guess before the first forward."""
        return self.bytes_per_position / len(self._layers) if self._layers else 1024.0

    def take(self, length: int) -> Extent | None:
        """Return a free extent with room for `length` positions, None where there is none."""
        return self._pool.take(extent_size(length))

    def give(self, extent: Extent) -> None:
        """Take an extent back."""
        self._pool.give(extent)

    def clear(self) -> None:
        """Give all memory back. Nobody may hold an extent."""
        self._pool = ExtentPool()
        self._layers.clear()

    def grow(self, length: int) -> bool:
        """Get memory for one more extent of `length` positions, or as much as may be; false where that is none."""
        size = extent_size(length)
        wanted = -(-self.positions // size) * size + size
        positions = min(self._max_positions, max(wanted, 2 * self.positions, _FIRST_POSITIONS))
        if positions == self.positions:
            return False
        for index, layer in self._layers.items():
            keys, values, kv_heads = layer
            self._layers[index] = LayerCache(
                _grown(keys, positions * kv_heads), _grown(values, positions * kv_heads), kv_heads
            )
        self._pool.grow(positions)
        return True

    def write(
        self, layer: int, keys_NKD: torch.Tensor, values_NKD: torch.Tensor, where: TokenPlaces
    ) -> LayerCache:
        """Store new keys and values at their places; return the layer's cache."""
        cache = self.layer(layer, keys_NKD, values_NKD)
        index = where.index(cache.kv_heads)
        cache.keys.index_copy_(0, index, keys_NKD.flatten(0, 1))
        cache.values.index_copy_(0, index, values_NKD.flatten(0, 1))
        return cache

    def layer(self, layer: int, keys_NKD: torch.Tensor, values_NKD: torch.Tensor) -> LayerCache:
        """Return a layer's cache, made for such keys and values if there is none yet."""
        if layer not in self._layers:
            kv_heads = keys_NKD.shape[1]
            rows = self.positions * kv_heads
            # Zeros, not empty memory: a masked position still enters the sum as 0 times its value.
            self._layers[layer] = LayerCache(
                keys_NKD.new_zeros(rows, keys_NKD.shape[2]),
                values_NKD.new_zeros(rows, values_NKD.shape[2]),
                kv_heads,
            )
        return self._layers[layer]

    def copy(self, source: Extent, target: Extent, length: int) -> None:
        """Copy the first `length` positions of one extent to another."""
        for layer in self._layers.values():
            for held_from, held_to in zip(layer.slots(source.size), layer.slots(target.size), strict=True):
                held_to[target.slot, :, :length] = held_from[source.slot, :, :length]

    def wipe(self) -> None:
        """Zero everything, so that no stale infinity can leak through a mask."""
        for layer in self._layers.values():
            layer.keys.zero_()
            layer.values.zero_()


def _row_bytes(layer: LayerCache) -> int:
    return layer.kv_heads * sum(held.shape[1] * held.element_size() for held in (layer.keys, layer.values))


def _grown(old: torch.Tensor, rows: int) -> torch.Tensor:
    new = old.new_zeros(rows, old.shape[1])
    new[: len(old)] = old
    return new
