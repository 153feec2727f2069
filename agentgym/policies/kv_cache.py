"""Keys and values of many conversations, one slot for each.

Shapes: N packed tokens; S slots; T cached positions; K key/value heads; D head size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class RowSpan(NamedTuple):
    """New tokens of one conversation: `new` tokens that follow `cached` ones in slot `slot`."""

    slot: int
    cached: int
    new: int


class TokenPlaces:
    """Slot and position of each packed token."""

    def __init__(self, slot_N: torch.Tensor, position_N: torch.Tensor) -> None:
        self._slot_N = slot_N
        self._position_N = position_N
        self._index: dict[tuple[int, int], torch.Tensor] = {}

    def index(self, kv_heads: int, length: int) -> torch.Tensor:
        """Return the flat index `[N * K]` into a cache `[S, K, T]`; layers of one shape share it."""
        key = (kv_heads, length)
        if key not in self._index:
            heads_K = torch.arange(kv_heads, device=self._slot_N.device)
            head_NK = self._slot_N[:, None] * kv_heads + heads_K
            self._index[key] = (head_NK * length + self._position_N[:, None]).flatten()
        return self._index[key]


class SlotCache:
    """Keys and values of every layer, as `[S, K, T, D]`; grows as needed up to the given limits."""

    def __init__(self, max_slots: int, max_context: int) -> None:
        self.max_slots = max_slots
        self.max_context = max_context
        self._slots = 0
        self._length = 0
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @property
    def length(self) -> int:
        """Positions each slot has room for."""
        return self._length

    @property
    def layers(self) -> int:
        """Layers that have written keys and values."""
        return len(self._layers)

    @property
    def bytes_per_position(self) -> int:
        """Bytes of one position of one layer, or a guess before the first forward."""
        for keys, values in self._layers.values():
            return (keys[0, :, 0].numel() + values[0, :, 0].numel()) * keys.element_size()
        return 1024

    def reserve(self, slots: int, length: int) -> None:
        """Make room for `slots` slots of `length` positions."""
        if slots <= self._slots and length <= self._length:
            return
        new_slots = self._slots if slots <= self._slots else min(self.max_slots, max(slots, 2 * self._slots))
        new_length = self._length
        if length > self._length:
            new_length = min(self.max_context, max(256, 2 * self._length, length))
        self._layers = {
            layer: (self._grown(keys, new_slots, new_length), self._grown(values, new_slots, new_length))
            for layer, (keys, values) in self._layers.items()
        }
        self._slots, self._length = new_slots, new_length

    def _grown(self, old: torch.Tensor, slots: int, length: int) -> torch.Tensor:
        new = old.new_zeros(slots, old.shape[1], length, old.shape[3])
        new[: old.shape[0], :, : old.shape[2]] = old
        return new

    def write(
        self, layer: int, keys_NKD: torch.Tensor, values_NKD: torch.Tensor, where: TokenPlaces
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store new keys and values at their places; return the layer's cache."""
        if layer not in self._layers:
            self._layers[layer] = (self._room(keys_NKD), self._room(values_NKD))
        keys, values = self._layers[layer]
        index = where.index(keys_NKD.shape[1], self._length)
        keys.view(-1, keys.shape[-1]).index_copy_(0, index, keys_NKD.flatten(0, 1))
        values.view(-1, values.shape[-1]).index_copy_(0, index, values_NKD.flatten(0, 1))
        return keys, values

    def _room(self, like_NKD: torch.Tensor) -> torch.Tensor:
        # Zeros, not empty memory: a masked position still enters the sum as 0 times its value.
        _, kv_heads, size = like_NKD.shape
        return like_NKD.new_zeros(self._slots, kv_heads, self._length, size)

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of slot `source` to slot `target`."""
        for keys, values in self._layers.values():
            keys[target, :, :length] = keys[source, :, :length]
            values[target, :, :length] = values[source, :, :length]

    def wipe(self, slot: int) -> None:
        """Zero a slot, so that no stale infinity can leak through a mask."""
        for keys, values in self._layers.values():
            keys[slot].zero_()
            values[slot].zero_()
