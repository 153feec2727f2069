"""Continuous batching: one step feeds every active conversation what its cache lacks and samples a token.

First prompts, later prompts, decoding, and recomputing after an eviction or a weight update are all the
same thing here: tokens that are not in the cache yet. The engine is synchronous and knows nothing of
text; `LocalPolicy` puts messages and an event loop around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Protocol

import torch

from agentgym.core.errors import InferenceFault
from agentgym.core.policy import FinishReason, Sampling
from agentgym.policies.extents import Extent
from agentgym.policies.kv_cache import KeyValueCache, RowSpan
from agentgym.policies.lanes import Lane, LaneTable
from agentgym.policies.packed import Forward
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
    shared_tokens: int = 0
    """Context tokens whose keys and values were copied from another conversation."""
    evictions: int = 0
    """Conversations that lost their cache to others before they ended."""

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
    logprobs: list[float] = field(default_factory=list[float])
    versions: list[int] = field(default_factory=list[int])
    """The version of the weights behind each sampled token."""
    finish: FinishReason | None = None
    fault: InferenceFault | None = None
    seed: int = 0
    """What `uniforms` were drawn by, for engines that draw their own."""

    @property
    def sampled_ids(self) -> list[int]:
        """The tokens sampled so far."""
        return self.ids[self.prompt_length :]


class LaneKeeper(Protocol):
    """Remembers what of each conversation is computed already."""

    def keep(self, lane: Lane, length: int) -> None:
        """Keep the first `length` tokens alone."""
        ...

    def end(self, lane: Lane) -> None:
        """Forget the conversation."""
        ...


class AnswerEngine(Protocol):
    """What `LocalPolicy` samples with: `Engine`, or another with the same weights."""

    @property
    def stats(self) -> EngineStats:
        """What has been computed so far."""
        ...

    @property
    def lanes(self) -> LaneKeeper:
        """What is kept of conversations."""
        ...

    @property
    def held_positions(self) -> int:
        """Tokens whose keys and values there is memory for now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether any answer is unfinished."""
        ...

    def submit(self, row: Row) -> None:
        """Queue an answer."""
        ...

    def cancel(self, row: Row) -> None:
        """Forget an answer, finished or not."""
        ...

    def weights_changed(self, version: int) -> None:
        """Go on with the weights that the model has now."""
        ...

    def drop_all(self) -> list[Row]:
        """Forget every unfinished answer and return them."""
        ...

    def start_anew(self) -> None:
        """Keep nothing of what was before; no conversation is open."""
        ...

    def step(self) -> list[Row]:
        """Compute a little, and return the answers that are finished by it."""
        ...


# Tokens of the blocks that are computed alone in deterministic mode. Divides every extent.
_BLOCK = 8
_PADDING_ID = 0


@dataclass(slots=True)
class _Batch:
    """What one forward takes: the rows with their spans, and the packed tokens."""

    rows: list[Row] = field(default_factory=list[Row])
    spans: list[RowSpan] = field(default_factory=list[RowSpan])
    ids: list[int] = field(default_factory=list[int])
    complete: list[Row] = field(default_factory=list[Row])
    """Rows of which nothing is left to feed."""
    last: list[int] = field(default_factory=list[int])
    """The packed place of each complete row's last token."""

    def add(self, row: Row, span: RowSpan) -> None:
        ids = row.ids[span.cached : span.cached + span.new]
        if span.cached + len(ids) == len(row.ids):
            self.complete.append(row)
            self.last.append(len(self.ids) + len(ids) - 1)
        self.rows.append(row)
        self.spans.append(span)
        self.ids += ids
        self.ids += [_PADDING_ID] * (span.new - len(ids))


class Engine:
    """Samples for many conversations at once over one model.

    Conversations keep their keys and values in `cache`; those that are not in use lose them where the cache
    is full, and are computed anew when they go on. One forward takes at most `max_batch_tokens` tokens.
    `version` is stamped on the tokens.

    Sums of floating-point numbers depend on their order, and matrix kernels choose it by the shape of what
    they are given: the last bits of a log-probability depend on the company in a batch. With `deterministic`
    they do not: every token is computed in a block of its own conversation, at the same place among as many
    tokens, whatever else there is and whenever that is. It takes several times as long.
    """

    def __init__(
        self,
        forward: Forward,
        cache: KeyValueCache,
        stop_ids: Sequence[int],
        *,
        max_batch_tokens: int,
        deterministic: bool = False,
        version: int = 0,
    ) -> None:
        self.forward = forward
        self.version = version
        self.lanes = LaneTable(cache)
        self._stats = EngineStats()
        self.cache = cache
        self._stop_ids = frozenset(stop_ids)
        self._max_batch_tokens = max_batch_tokens
        self._deterministic = deterministic
        self._waiting: list[Row] = []
        self._active: list[Row] = []

    @property
    def busy(self) -> bool:
        """Whether any answer is unfinished."""
        return bool(self._waiting or self._active)

    @property
    def stats(self) -> EngineStats:
        """What has been computed so far."""
        self._stats.evictions = self.lanes.evictions
        self._stats.shared_tokens = self.lanes.shared_tokens
        return self._stats

    @property
    def held_positions(self) -> int:
        """Tokens whose keys and values there is memory for now."""
        return self.cache.positions

    def submit(self, row: Row) -> None:
        """Queue an answer."""
        # At least one token is fed, so that there is something to sample from.
        self.lanes.keep(row.lane, min(row.known, len(row.ids) - 1))
        self._waiting.append(row)

    def cancel(self, row: Row) -> None:
        """Forget an answer, finished or not; its conversation is again as it was before."""
        for rows in (self._waiting, self._active):
            if row in rows:
                rows.remove(row)
        self.lanes.keep(row.lane, row.known)
        self.lanes.rest(row.lane, row.ids)

    def weights_changed(self, version: int) -> None:
        """Drop all that other weights made; answers under way go on with the new ones."""
        self.version = version
        self.forward.weights_changed()
        self._drop_caches()

    def drop_all(self) -> list[Row]:
        """Forget every unfinished answer and return them."""
        rows = [*self._active, *self._waiting]
        self._active, self._waiting = [], []
        for row in rows:
            self.lanes.drop(row.lane)
        return rows

    def start_anew(self) -> None:
        """Keep nothing of what was before; no conversation is open."""
        self.lanes.forget_all()
        self.cache.clear()

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """Feed the next tokens and return the answers that this finished (with `finish` or `fault` set)."""
        self._admit()
        chosen = self._choose()
        assert chosen or not self.busy, "every waiting answer is blocked"
        finished: list[Row] = []
        for batch in self._in_blocks(chosen) if self._deterministic else self._together(chosen):
            try:
                logits = self.forward(self.cache, batch.spans, batch.ids, batch.last)
            except Exception:
                if not finished:
                    raise
                break  # what is finished is handed over; what is wrong comes again in the next step
            self._stats.forwards += 1
            for row, span in zip(batch.rows, batch.spans, strict=True):
                self._advance(row, min(span.cached + span.new, len(row.ids)))
            finished += self._sample(batch.complete, logits)
        return finished

    def _admit(self) -> None:
        """Move waiting answers to the active ones, as far as there is room."""
        for row in list(self._waiting):
            if self.lanes.awaited(row.lane, row.ids):
                continue
            if not self._use(row.lane, len(row.ids), alone=not self._active):
                return
            self.lanes.share(row.lane, row.ids)
            self.lanes.announce(row.lane, row.ids)
            self._waiting.remove(row)
            self._active.append(row)

    def _use(self, lane: Lane, length: int, *, alone: bool) -> bool:
        """Give a lane room. If it is alone, it gets that in any case, at worst by computing all anew."""
        if self.lanes.use(lane, length):
            return True
        if not alone:
            return False
        self.lanes.drop(lane)
        self.lanes.evictions += 1
        return self.lanes.use(lane, length)

    def _choose(self) -> list[tuple[Row, int]]:
        """Choose what to feed, oldest answers first, within the token limit: rows, and how many tokens of each."""
        budget = self._max_batch_tokens
        chosen: list[tuple[Row, int]] = []
        # Rows may be put off on the way, always from the end.
        while budget > 0 and len(chosen) < len(self._active) and self._make_room(self._active[len(chosen)]):
            row = self._active[len(chosen)]
            new = min(len(row.ids) - row.lane.cached, budget)
            budget -= new
            chosen.append((row, new))
        return chosen

    def _together(self, chosen: Sequence[tuple[Row, int]]) -> Iterator[_Batch]:
        """Yield one batch of all, those with one new token first, by the size and place of their extents.

        So there are few runs (see `plan_runs`).
        """
        spans = [(row, RowSpan(_extent(row), row.lane.cached, new)) for row, new in chosen]
        spans.sort(key=lambda entry: (entry[1].new > 1, entry[1].extent.size, entry[1].extent.start))
        batch = _Batch()
        for row, span in spans:
            batch.add(row, span)
        if batch.rows:
            yield batch

    def _in_blocks(self, chosen: Sequence[tuple[Row, int]]) -> Iterator[_Batch]:
        """Yield a batch for each block of each row, filled up with tokens that nobody looks back to."""
        for row, new in chosen:
            stop = row.lane.cached + new
            for start in range(row.lane.cached // _BLOCK * _BLOCK, stop, _BLOCK):
                batch = _Batch()
                batch.add(row, RowSpan(_extent(row), start, _BLOCK))
                yield batch

    def _make_room(self, row: Row) -> bool:
        """Give an active row room for its tokens, if need be by putting younger rows off; false where it is put off."""
        while not self._use(row.lane, len(row.ids), alone=len(self._active) == 1):
            youngest = self._active.pop()
            self._waiting.insert(0, youngest)
            self.lanes.drop(youngest.lane)
            self.lanes.evictions += 1
            if youngest is row:
                return False
        return True

    def _advance(self, row: Row, cached: int) -> None:
        """Note that the first `cached` tokens of a row are cached now."""
        prompt = range(row.lane.cached, min(cached, row.prompt_length))
        self._stats.prefilled_tokens += len(prompt)
        self._stats.decoded_tokens += cached - row.lane.cached - len(prompt)
        row.lane.cached = cached

    def _sample(self, rows: Sequence[Row], logits_BV: torch.Tensor) -> list[Row]:
        """Append one token to each row; return the rows that are finished by it."""
        if not rows:
            return []
        device = logits_BV.device
        sampled = sample_tokens(
            logits_BV,
            torch.tensor([row.uniforms[len(row.logprobs)] for row in rows], device=device),
            torch.tensor([row.sampling.temperature for row in rows], device=device),
            torch.tensor([row.sampling.top_p for row in rows], device=device),
        )
        self._stats.sampled_tokens += len(rows)
        drawn = zip(rows, _listed(sampled.ids_B), _listed(sampled.logprobs_B), strict=True)
        finished = [row for row, token, logprob in drawn if self._append(row, int(token), logprob)]
        for row in finished:
            self.lanes.rest(row.lane, row.ids)
        if finished:
            self._active = [row for row in self._active if row.finish is None and row.fault is None]
        if any(row.fault is not None for row in finished):
            self._drop_caches()  # what is not finite may have been copied from one to another
            self.cache.wipe()
        return finished

    def _append(self, row: Row, token: int, logprob: float) -> bool:
        """Add a sampled token to a row; return whether it is the last."""
        row.ids.append(token)
        row.logprobs.append(logprob)
        row.versions.append(self.version)
        if not isfinite(logprob):
            row.fault = InferenceFault(
                f"Session {row.lane.name!r}: the model's logits are not finite after {len(row.ids) - 1} tokens. "
                "Check the weights (a diverged training step?) or use a wider dtype."
            )
        elif token in self._stop_ids:
            row.finish = FinishReason.STOP
        elif len(row.logprobs) >= row.sampling.max_tokens:
            row.finish = FinishReason.LENGTH
        elif len(row.ids) >= self.cache.max_context:
            row.finish = FinishReason.CONTEXT
        return row.finish is not None or row.fault is not None

    def _drop_caches(self) -> None:
        self.lanes.forget_all()
        for row in (*self._waiting, *self._active):
            self.lanes.keep(row.lane, 0)


def _extent(row: Row) -> Extent:
    assert row.lane.extent is not None  # chosen rows have room
    return row.lane.extent


def _listed(values: torch.Tensor) -> list[float]:
    return values.tolist()  # pyright: ignore[reportUnknownVariableType]
