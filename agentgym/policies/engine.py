"""Continuous batching: one step feeds every active conversation what its cache lacks and samples a token.

First prompts, later prompts, decoding, and recomputing after an eviction or a weight update are all the
same thing here: tokens that are not in the cache yet. The engine is synchronous and knows nothing of
text; `LocalPolicy` puts messages and an event loop around it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import isfinite
from typing import Any

import torch
from transformers import PreTrainedModel

from agentgym.core.errors import ConfigError, InferenceFault
from agentgym.core.policy import FinishReason, Sampling
from agentgym.policies.attention import (
    RowSpan,
    SlotCache,
    evaluation_mode,
    pack,
    slot_attention_in,
    token_positions,
)
from agentgym.policies.sampling import sample_tokens


@dataclass(slots=True)
class EngineStats:
    """What the engine has computed so far."""

    forwards: int = 0
    """Calls of the model."""
    prefilled_tokens: int = 0
    """Context tokens computed, those computed again included."""
    decoded_tokens: int = 0
    """Sampled tokens fed back into the model."""
    sampled_tokens: int = 0
    evictions: int = 0
    """Idle conversations that lost their cache to others."""

    @property
    def computed_tokens(self) -> int:
        """Tokens that went through the model."""
        return self.prefilled_tokens + self.decoded_tokens


@dataclass(slots=True, eq=False)
class Lane:
    """One conversation in the engine: the slot it holds, if any, and how many of its tokens are cached."""

    name: str
    slot: int | None = None
    cached: int = 0
    opening: tuple[int, ...] = ()
    """The tokens that others may copy from its slot: the context it began with, but for the last."""


@dataclass(slots=True, eq=False)
class Row:
    """One answer being sampled."""

    lane: Lane
    ids: list[int]
    """The context, then the tokens sampled so far."""
    prompt_length: int
    sampling: Sampling
    uniforms: Sequence[float]
    """One number in [0, 1) for each token that may be sampled."""
    version: int
    opening: tuple[int, ...] = ()
    """The context but for its last token, where the conversation has none of it cached."""
    logprobs: list[float] = field(default_factory=list[float])
    finish: FinishReason | None = None
    fault: InferenceFault | None = None

    @property
    def sampled_ids(self) -> list[int]:
        """The tokens sampled so far."""
        return self.ids[self.prompt_length :]


class Engine:
    """Samples for many conversations at once over one model.

    `max_sessions` conversations keep their keys and values; beyond that, the ones idle for longest lose
    them and are computed anew when they go on. One forward takes at most `max_batch_tokens` tokens.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        stop_ids: Sequence[int],
        *,
        max_sessions: int,
        max_context: int,
        max_batch_tokens: int,
    ) -> None:
        self.model = model
        self.stats = EngineStats()
        self._stop_ids = frozenset(stop_ids)
        self._max_context = max_context
        self._max_batch_tokens = max_batch_tokens
        self._cache = SlotCache(max_sessions, max_context)
        check_supported(model, self._cache)
        self._free = list(range(max_sessions))  # a heap: low slots first keeps the used ones together
        self._idle: OrderedDict[Lane, None] = OrderedDict()
        self._waiting: list[Row] = []
        self._active: list[Row] = []
        self._openings: dict[tuple[int, ...], Lane] = {}

    @property
    def busy(self) -> bool:
        """Whether any answer is unfinished."""
        return bool(self._waiting or self._active)

    def submit(self, row: Row) -> None:
        """Queue an answer. At least one token of its context is fed, so that there is something to sample."""
        self.keep(row.lane, len(row.ids) - 1)
        if row.lane.cached == 0:
            row.opening = tuple(row.ids[:-1])
        self._waiting.append(row)

    def keep(self, lane: Lane, length: int) -> None:
        """Cut what is cached of a conversation to its first `length` tokens; the others have changed."""
        lane.cached = min(lane.cached, length)
        if lane.cached < len(lane.opening):
            self._forget_opening(lane)

    def cancel(self, row: Row) -> None:
        """Forget an answer; its conversation keeps the cache of the context."""
        if row in self._waiting:
            self._waiting.remove(row)
        elif row in self._active:
            self._active.remove(row)
            self.keep(row.lane, row.prompt_length)
        else:
            return
        if row.lane.slot is not None:
            self._idle[row.lane] = None

    def release(self, lane: Lane) -> None:
        """Give the conversation's slot to others."""
        self._idle.pop(lane, None)
        self._forget_opening(lane)
        if lane.slot is not None:
            heappush(self._free, lane.slot)
        lane.slot, lane.cached = None, 0

    def invalidate(self) -> None:
        """Drop all keys and values: they were made by other weights."""
        for lane in [*self._idle, *(row.lane for row in self._waiting), *(row.lane for row in self._active)]:
            self.keep(lane, 0)

    def drop_all(self) -> list[Row]:
        """Forget every unfinished answer and return them."""
        rows = [*self._active, *self._waiting]
        for row in rows:
            self.keep(row.lane, 0)
            if row.lane.slot is not None:
                self._idle[row.lane] = None
        self._active, self._waiting = [], []
        return rows

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """Run one forward and return the answers it finished (with `finish` or `fault` set)."""
        self._admit()
        rows, spans = self._schedule()
        assert rows or not self.busy, "every waiting answer is blocked"
        if not rows:
            return []
        complete = [
            index
            for index, (row, span) in enumerate(zip(rows, spans, strict=True))
            if span.cached + span.new == len(row.ids)
        ]
        ids = [
            token
            for row, span in zip(rows, spans, strict=True)
            for token in row.ids[span.cached : span.cached + span.new]
        ]
        self._cache.reserve(max(s.slot for s in spans) + 1, max(s.cached + s.new for s in spans))
        logits = forward_packed(self.model, self._cache, spans, ids, complete)
        self._count(rows, spans)
        for row, span in zip(rows, spans, strict=True):
            row.lane.cached += span.new
        return self._sample([rows[index] for index in complete], logits)

    def _admit(self) -> None:
        """Move waiting answers to the active ones, as far as there are slots."""
        for row in self._waiting:
            if row.lane.slot is not None:
                self._idle.pop(row.lane, None)
        still: list[Row] = []
        for row in self._waiting:
            if self._opening_under_way(row) or (row.lane.slot is None and not self._take_slot(row.lane)):
                still.append(row)
                continue
            if row.lane.cached == 0:
                self._share_opening(row)
            self._active.append(row)
        self._waiting = still

    def _opening_under_way(self, row: Row) -> bool:
        """Whether another conversation is just computing the context that this one begins with."""
        if row.lane.cached:
            return False
        other = self._openings.get(row.opening)
        return other is not None and other is not row.lane and other.cached < len(row.opening)

    def _share_opening(self, row: Row) -> None:
        """Copy the context from a conversation that began with the same one, or offer it to others.

        The rollouts of a group all begin alike, so that their first prompt is computed once.
        """
        lane, other = row.lane, self._openings.get(row.opening)
        if other is not None and other.slot is not None and lane.slot is not None:
            self._cache.reserve(lane.slot + 1, len(row.opening))
            self._cache.copy(other.slot, lane.slot, len(row.opening))
            lane.cached = len(row.opening)
        elif row.opening:
            lane.opening = row.opening
            self._openings[row.opening] = lane

    def _forget_opening(self, lane: Lane) -> None:
        if self._openings.get(lane.opening) is lane:
            del self._openings[lane.opening]
        lane.opening = ()

    def _take_slot(self, lane: Lane) -> bool:
        if not self._free and self._idle:
            oldest, _ = self._idle.popitem(last=False)
            self.release(oldest)
            self.stats.evictions += 1
        if not self._free:
            return False
        lane.slot = heappop(self._free)
        return True

    def _schedule(self) -> tuple[list[Row], list[RowSpan]]:
        """Choose what to feed: oldest answers first, within the token limit.

        The chosen rows come in slot order, those with one new token first (see `plan_runs`).
        """
        budget = self._max_batch_tokens
        chosen: list[tuple[bool, int, Row, RowSpan]] = []
        for row in self._active:
            if budget <= 0:
                break
            slot, cached = row.lane.slot, row.lane.cached
            assert slot is not None  # active rows hold slots
            new = min(len(row.ids) - cached, budget)
            budget -= new
            chosen.append((new > 1, slot, row, RowSpan(slot, cached, new)))
        chosen.sort(key=lambda entry: entry[:2])
        return [entry[2] for entry in chosen], [entry[3] for entry in chosen]

    def _count(self, rows: Sequence[Row], spans: Sequence[RowSpan]) -> None:
        total = sum(span.new for span in spans)
        prefilled = sum(
            max(0, min(span.cached + span.new, row.prompt_length) - span.cached)
            for row, span in zip(rows, spans, strict=True)
        )
        self.stats.forwards += 1
        self.stats.prefilled_tokens += prefilled
        self.stats.decoded_tokens += total - prefilled

    def _sample(self, rows: Sequence[Row], logits_BV: torch.Tensor) -> list[Row]:
        """Append one token to each row; return the rows that are finished by it."""
        if not rows:
            return []
        device = logits_BV.device
        sampled: Any = sample_tokens(
            logits_BV,
            torch.tensor([row.uniforms[len(row.logprobs)] for row in rows], device=device),
            torch.tensor([row.sampling.temperature for row in rows], device=device),
            torch.tensor([row.sampling.top_p for row in rows], device=device),
        )
        self.stats.sampled_tokens += len(rows)
        finished: list[Row] = []
        drawn = zip(rows, sampled.ids_B.tolist(), sampled.logprobs_B.tolist(), strict=True)
        for row, token, logprob in drawn:
            row.ids.append(token)
            row.logprobs.append(logprob)
            if not isfinite(logprob):
                self._fail(row)
            elif token in self._stop_ids:
                row.finish = FinishReason.STOP
            elif len(row.logprobs) >= row.sampling.max_tokens:
                row.finish = FinishReason.LENGTH
            elif len(row.ids) >= self._max_context:
                row.finish = FinishReason.CONTEXT
            else:
                continue
            finished.append(row)
        for row in finished:
            self._idle[row.lane] = None
        if finished:
            self._active = [row for row in self._active if row.finish is None and row.fault is None]
        return finished

    def _fail(self, row: Row) -> None:
        row.fault = InferenceFault(
            f"Session {row.lane.name!r}: the model's logits are not finite after {len(row.ids) - 1} tokens. "
            "Check the weights (a diverged training step?) or use a wider dtype."
        )
        self.keep(row.lane, 0)
        if row.lane.slot is not None:
            self._cache.wipe(row.lane.slot)


def forward_packed(
    model: PreTrainedModel,
    cache: SlotCache,
    spans: Sequence[RowSpan],
    ids: Sequence[int],
    keep: Sequence[int],
) -> torch.Tensor:
    """Feed packed tokens and return float logits `[len(keep), V]` after the last token of the rows `keep`."""
    device = model.device
    ends = torch.tensor([span.new for span in spans]).cumsum(0) - 1
    forward: Any = model
    with slot_attention_in(model):
        output = forward(
            input_ids=torch.tensor([ids], device=device),
            position_ids=torch.from_numpy(token_positions(spans)).to(device)[None],
            use_cache=False,
            logits_to_keep=ends[list(keep)].to(device),
            slot_batch=pack(cache, spans, device),
        )
    return output.logits[0]


@torch.inference_mode()
def check_supported(model: PreTrainedModel, cache: SlotCache) -> None:
    """Compare cached, packed generation with the model's own forward; raises `ConfigError` where they differ.

    Catches what the slot cache cannot hold: recurrent states, position biases, attention sinks.
    """
    config: Any = model.config
    own: Any = model
    size = 11
    ids = [(7 * index + 3) % config.vocab_size for index in range(size)]
    first = size // 2
    advice = "Use a decoder-only model with full attention (Qwen3, Llama, ...), or serve it over an endpoint."
    name = type(model).__name__
    cache.reserve(1, size)
    try:
        forward_packed(model, cache, [RowSpan(0, 0, first)], ids[:first], [0])
        forward_packed(model, cache, [RowSpan(0, first, 1)], ids[first : first + 1], [0])
        rest = RowSpan(0, first + 1, size - first - 1)
        cached = forward_packed(model, cache, [rest], ids[first + 1 :], [0])[0]
        with evaluation_mode(model):
            inputs = torch.tensor([ids], device=model.device)
            expected = own(input_ids=inputs, use_cache=False).logits[0, -1]
    except (ConfigError, TypeError, AttributeError, RuntimeError) as error:
        raise ConfigError(f"{name} cannot generate with a cache kept in slots: {error} {advice}") from error
    scale = 1.0 + float(expected.abs().max())
    tolerance = (1e-3 if expected.dtype == torch.float32 else 0.1) * scale
    difference = float((cached.float() - expected.float()).abs().max())
    if not difference <= tolerance:
        raise ConfigError(
            f"{name} gives other logits with a cache kept in slots (off by {difference:.3g}, allowed "
            f"{tolerance:.3g}): its attention is not plain causal attention. {advice}"
        )
