"""Attention over keys and values that stay in slots, one slot for each conversation.

The tokens of many conversations go through the model as one packed row, without padding. transformers
lets a model's attention be swapped by name; the function here writes the new keys and values into the
slots and attends from there. Neighbouring slots of one size are attended in one call (a *run*), straight
from the cache, without copying it.

Shapes: N packed tokens; S slots of one size; T cached positions; H query heads; K key/value heads; D head size;
R slots in a run; L most new tokens of one slot in a run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from agentgym.core.errors import ConfigError
from agentgym.policies.kv_cache import KeyValueCache, LayerCache, RowSpan, TokenPlaces

ATTENTION_NAME = "agentgym_slots"

# Attending slots together saves a call and costs reading padding. A call is worth about this many bytes.
_CALL_BYTES_CPU = 1_000_000
_CALL_BYTES_DEVICE = 40_000_000
# A query costs about half as much as reading a key and value from memory.
_QUERY_WEIGHT = 0.5


@dataclass(slots=True)
class Run:
    """Neighbouring slots `[first, last)` attended in one call; their tokens are `[start, stop)` of the pack."""

    size: int
    """Positions of a slot."""
    first: int
    last: int
    start: int
    stop: int
    new: int
    """L: most new tokens of a slot."""
    length: int
    """T: most positions of a slot, the new ones included."""
    visible_RL: torch.Tensor
    """How many positions each query sees."""
    scatter: torch.Tensor | None
    """Where each packed token goes in `[R * L]`; None where they fill it in order."""
    _masks: dict[tuple[int, torch.dtype], torch.Tensor] = field(
        default_factory=dict[tuple[int, torch.dtype], torch.Tensor]
    )

    def mask(self, groups: int, dtype: torch.dtype) -> torch.Tensor:
        """Return the additive mask `[R, 1, groups * L, T]`."""
        key = (groups, dtype)
        if key not in self._masks:
            positions_T = torch.arange(self.length, device=self.visible_RL.device)
            hidden_RLT = positions_T >= self.visible_RL[:, :, None]
            mask_RLT = torch.zeros(hidden_RLT.shape, dtype=dtype, device=hidden_RLT.device)
            mask_RLT.masked_fill_(hidden_RLT, float("-inf"))
            self._masks[key] = mask_RLT.repeat(1, groups, 1)[:, None]
        return self._masks[key]


@dataclass(slots=True)
class PackedBatch:
    """What the attention of one forward needs, passed through the model as a keyword."""

    cache: KeyValueCache
    places: TokenPlaces
    alone: int
    """The first so many tokens, each the only new one of its row, are in no run."""
    runs: list[Run]


def pack(
    cache: KeyValueCache, rows: Sequence[RowSpan], device: torch.device, *, leave_alone: bool = False
) -> PackedBatch:
    """Plan the attention of `rows`, packed in this order; best sorted by the size of their slots and their place.

    With `leave_alone` the first rows are in no run as long as they have one new token each.
    """
    alone = 0
    while leave_alone and alone < len(rows) and rows[alone].new == 1:
        alone += 1
    position_N = token_positions(rows)
    extents_2N = np.repeat(np.array([row.extent for row in rows]).T, [row.new for row in rows], axis=1)
    places = TokenPlaces(torch.from_numpy(np.vstack([extents_2N, position_N])).to(device))
    runs = _plan(cache, rows[alone:], position_N[alone:], alone, device)
    return PackedBatch(cache, places, alone, runs)


def _plan(
    cache: KeyValueCache,
    rows: Sequence[RowSpan],
    position_N: np.ndarray[Any, np.dtype[np.int64]],
    before: int,
    device: torch.device,
) -> list[Run]:
    """Plan the runs of `rows`, which are packed after `before` other tokens."""
    slots = np.array([row.extent.slot for row in rows])
    cached = np.array([row.cached for row in rows])
    new = np.array([row.new for row in rows])
    starts = np.concatenate([[0], np.cumsum(new)])
    call_bytes = _CALL_BYTES_CPU if device.type == "cpu" else _CALL_BYTES_DEVICE
    call_cost = call_bytes / cache.bytes_per_layer_position
    runs: list[Run] = []
    for first, last in plan_runs(rows, call_cost):
        low, high = int(slots[first]), int(slots[last - 1]) + 1
        width = int(new[first:last].max())
        visible = np.ones((high - low, width), np.int64)
        row_of_token = np.repeat(slots[first:last] - low, new[first:last])
        start, stop = int(starts[first]), int(starts[last])
        offset = np.arange(start, stop) - np.repeat(starts[first:last], new[first:last])
        visible[row_of_token, offset] = position_N[start:stop] + 1
        dense = stop - start == visible.size
        runs.append(
            Run(
                rows[first].extent.size,
                low,
                high,
                before + start,
                before + stop,
                width,
                int((cached[first:last] + new[first:last]).max()),
                torch.from_numpy(visible).to(device),
                None if dense else torch.from_numpy(row_of_token * width + offset).to(device),
            )
        )
    return runs


def token_positions(rows: Sequence[RowSpan]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the position of each packed token in its conversation, `[N]`."""
    new = np.array([row.new for row in rows])
    shift = np.array([row.cached for row in rows]) - (np.cumsum(new) - new)
    return np.arange(int(new.sum())) + np.repeat(shift, new)


def plan_runs(rows: Sequence[RowSpan], call_cost: float) -> Iterator[tuple[int, int]]:
    """Split rows into stretches `[first, last)` that are cheapest attended together.

    The slots of a stretch have one size and ascend.
    `call_cost` is what one more call costs, in positions read. Rows that only decode and rows with many
    new tokens are best given in two blocks: their shapes do not mix well.
    """
    first = 0
    low, width, length = 0, 0, 0
    cost = 0.0
    for index, row in enumerate(rows):
        alone = call_cost + _work(1, row.new, row.cached + row.new)
        slot, before = row.extent.slot, rows[index - 1].extent
        if index > first and row.extent.size == before.size and slot > before.slot:
            merged_width, merged_length = max(width, row.new), max(length, row.cached + row.new)
            merged = call_cost + _work(slot + 1 - low, merged_width, merged_length)
            if merged <= cost + alone:
                width, length, cost = merged_width, merged_length, merged
                continue
        if index > first:
            yield first, index
        first, low, width, length, cost = index, slot, row.new, row.cached + row.new, alone
    if rows:
        yield first, len(rows)


def _work(slots: int, width: int, length: int) -> float:
    return slots * length * (1.0 + _QUERY_WEIGHT * width)


def slot_attention(
    module: torch.nn.Module,
    query_1HND: torch.Tensor,
    key_1KND: torch.Tensor,
    value_1KND: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    slot_batch: PackedBatch | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend from packed tokens to their slots; returns `[1, N, H, D]`. transformers calls this."""
    if slot_batch is None:
        raise ConfigError(f"{type(module).__name__} does not pass keywords on to its attention.")
    cache = slot_batch.cache
    if sliding_window is not None and sliding_window < cache.max_context:
        raise ConfigError(
            f"Attention with a sliding window ({sliding_window} tokens) is not supported beyond that window; "
            f"set max_context to at most {sliding_window}, got {cache.max_context}."
        )
    layer: Any = module.layer_idx
    held = cache.write(layer, key_1KND[0].transpose(0, 1), value_1KND[0].transpose(0, 1), slot_batch.places)
    query_NHD = query_1HND[0].transpose(0, 1)
    scale = query_NHD.shape[-1] ** -0.5 if scaling is None else scaling
    return attend(query_NHD, held, slot_batch.runs, scale)[None], None


def attend(query_NHD: torch.Tensor, held: LayerCache, runs: Sequence[Run], scale: float) -> torch.Tensor:
    """Attend from packed tokens to their slots, run by run; returns `[N, H, D]`."""
    parts = [_attend_run(query_NHD, held, run, scale) for run in runs]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _attend_run(query_NHD: torch.Tensor, held: LayerCache, run: Run, scale: float) -> torch.Tensor:
    slots, new = run.last - run.first, run.new
    query = query_NHD[run.start : run.stop]
    heads, size = query.shape[1:]
    if run.scatter is not None:
        query = query.new_zeros(slots * new, heads, size).index_copy_(0, run.scatter, query)
    # Query heads that share a key head become further queries of it: no repeated keys.
    kv_heads = held.kv_heads
    groups = heads // kv_heads
    grouped = query.view(slots, new, heads, size).transpose(1, 2).reshape(slots, kv_heads, groups * new, size)
    keys, values = (part[run.first : run.last, :, : run.length] for part in held.slots(run.size))
    attend = _attend_few if new == 1 and query.device.type == "cpu" else _attend_many
    out = attend(grouped, keys, values, run.mask(groups, query.dtype), scale)
    out_NHD = out.reshape(slots, heads, new, -1).transpose(1, 2).reshape(slots * new, heads, -1)
    return out_NHD if run.scatter is None else out_NHD.index_select(0, run.scatter)


def _attend_many(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, scale: float
) -> torch.Tensor:
    return scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=scale)


def _attend_few(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, scale: float
) -> torch.Tensor:
    """Attend with one new token a slot: for so few queries plain products beat the fused kernel on a CPU."""
    slots, kv_heads = keys.shape[:2]
    queries, flat = (query * scale).flatten(0, 1), keys.flatten(0, 1)
    if query.dtype == torch.float32:
        scores = torch.bmm(queries, flat.transpose(1, 2))
    else:  # the kernels for half precision are several times faster this way round
        scores = torch.bmm(flat, queries.transpose(1, 2)).transpose(1, 2).contiguous()
    scores.view(slots, kv_heads, *scores.shape[1:]).add_(mask)
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(values.dtype)
    return torch.bmm(weights, values.flatten(0, 1)).view(slots, kv_heads, -1, values.shape[-1])


AttentionInterface.register(ATTENTION_NAME, slot_attention)


@contextmanager
def evaluation_mode(model: PreTrainedModel) -> Generator[None]:
    """Switch dropout and the like off inside the block, and each module back as it was."""
    training = [module for module in model.modules() if module.training] if model.training else []
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def slot_attention_in(model: PreTrainedModel) -> Generator[None]:
    """Let `model` attend through slots inside the block; then put back what was there."""
    config: Any = model.config
    before: str | None = config._attn_implementation
    config._attn_implementation = ATTENTION_NAME
    try:
        with evaluation_mode(model):
            yield
    finally:
        config._attn_implementation = before
