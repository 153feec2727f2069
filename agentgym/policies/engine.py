"""Continuous batching: one step feeds every active conversation what its cache lacks and samples a token.

First prompts, later prompts, decoding, and recomputing after an eviction or a weight update are all the
same thing here: tokens that are not in the cache yet. The engine is synchronous and knows nothing of
text; `LocalPolicy` puts messages and an event loop around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch

from agentgym.core.errors import InferenceFault
from agentgym.core.policy import FinishReason, Sampling
from agentgym.policies.kv_cache import RowSpan, SlotCache
from agentgym.policies.packed import Forward
from agentgym.policies.sampling import sample_tokens
from agentgym.policies.slots import Lane, SlotTable


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
class Row:
    """One answer being sampled."""

    lane: Lane
    ids: list[int]
    """The context, then the tokens sampled so far."""
    prompt_length: int
    known: int
    """How many of the first ids were those of the conversation before."""
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
        forward: Forward,
        stop_ids: Sequence[int],
        *,
        max_sessions: int,
        max_context: int,
        max_batch_tokens: int,
    ) -> None:
        self.forward = forward
        self.stats = EngineStats()
        self._stop_ids = frozenset(stop_ids)
        self._max_context = max_context
        self._max_batch_tokens = max_batch_tokens
        self._cache = SlotCache(max_sessions, max_context)
        self.slots = SlotTable(self._cache)
        self._waiting: list[Row] = []
        self._active: list[Row] = []

    @property
    def busy(self) -> bool:
        """Whether any answer is unfinished."""
        return bool(self._waiting or self._active)

    def submit(self, row: Row) -> None:
        """Queue an answer."""
        # At least one token is fed, so that there is something to sample from.
        self.slots.keep(row.lane, min(row.known, len(row.ids) - 1))
        if row.lane.cached == 0:
            row.opening = tuple(row.ids[:-1])
        self._waiting.append(row)

    def cancel(self, row: Row) -> None:
        """Forget an answer, finished or not; its conversation is again as it was before."""
        for rows in (self._waiting, self._active):
            if row in rows:
                rows.remove(row)
        self.slots.keep(row.lane, row.known)
        self.slots.rest(row.lane)

    def invalidate(self) -> None:
        """Drop all keys and values, and whatever else was made from other weights."""
        self.forward.weights_changed()
        self.slots.forget_idle()
        for row in (*self._waiting, *self._active):
            self.slots.keep(row.lane, 0)

    def drop_all(self) -> list[Row]:
        """Forget every unfinished answer and return them."""
        rows = [*self._active, *self._waiting]
        self._active, self._waiting = [], []
        for row in rows:
            self.slots.keep(row.lane, 0)
            self.slots.rest(row.lane)
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
        logits = self.forward(self._cache, spans, ids, complete)
        self._count(rows, spans)
        for row, span in zip(rows, spans, strict=True):
            row.lane.cached += span.new
        return self._sample([rows[index] for index in complete], logits)

    def _admit(self) -> None:
        """Move waiting answers to the active ones, as far as there are slots."""
        for row in self._waiting:
            if row.lane.slot is not None:
                self.slots.use(row.lane)  # safe from the newcomers
        still: list[Row] = []
        for row in self._waiting:
            fresh = row.lane.cached == 0
            if (fresh and self.slots.computing(row.lane, row.opening)) or not self.slots.use(row.lane):
                still.append(row)
                continue
            if fresh:
                self.slots.share(row.lane, row.opening)
            self._active.append(row)
        self._waiting = still
        self.stats.evictions = self.slots.evictions

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
            self.slots.rest(row.lane)
        if finished:
            self._active = [row for row in self._active if row.finish is None and row.fault is None]
        return finished

    def _fail(self, row: Row) -> None:
        row.fault = InferenceFault(
            f"Session {row.lane.name!r}: the model's logits are not finite after {len(row.ids) - 1} tokens. "
            "Check the weights (a diverged training step?) or use a wider dtype."
        )
        self.slots.keep(row.lane, 0)
        if row.lane.slot is not None:
            self._cache.wipe(row.lane.slot)
