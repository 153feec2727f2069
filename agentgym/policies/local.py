"""A transformers model in this process as a policy, batching every turn that waits.

Many coroutines call `generate`, usually one for each episode. An engine task steps while anything is
unfinished: each step takes in what has arrived, computes only tokens that are not cached, and samples one
token for every active answer. Between steps the event loop runs, so that agents whose answer is ready
step their environment and come back in time for the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agentgym.core.errors import ConfigError, InferenceFault, UsageError
from agentgym.core.policy import Completion, FinishReason, GenerationRequest
from agentgym.policies.engine import AnswerEngine, Engine, EngineStats, Row
from agentgym.policies.extents import extent_size
from agentgym.policies.kv_cache import KeyValueCache
from agentgym.policies.lanes import Lane
from agentgym.policies.packed import open_forward
from agentgym.policies.rendering import ChatRenderer, Context, Exchange
from agentgym.policies.tool_calls import parse_answer

MAX_CACHE_BYTES = 4 * 2**30
"""Most bytes of keys and values, unless told otherwise."""


@dataclass(slots=True, eq=False)
class _Session:
    lane: Lane
    exchange: Exchange | None = None
    ticket: _Ticket | None = None
    """The request under way, until its completion is handed over."""


@dataclass(slots=True, eq=False)
class _Ticket:
    """A request under way."""

    session: _Session
    request: GenerationRequest
    context: Context
    row: Row
    future: asyncio.Future[Completion]
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Loop:
    """The event loop in use and the engine task on it."""

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[None] | None = None
    tickets: dict[Row, _Ticket] = field(default_factory=dict["Row", "_Ticket"])


class LocalPolicy:
    """Continues conversations with `model`; implements `agentgym.core.policy.Policy`.

    The keys and values of conversations are kept across turns, in at most `max_cache_bytes` of memory (4 GiB
    unless told otherwise). Each takes the smallest power of two of positions that it fits in, never more
    than twice its length beyond the first 64, whatever the length of the others. Where they do not all fit,
    those that wait for longest are computed anew when they go on: slower, never an error. `max_context` is
    the longest conversation in tokens (default: what the model was made for, or what fits the cache); one
    forward takes at most `max_batch_tokens` (default: by device).

    What a conversation has in common with the beginning of any other, in progress or ended of late, is not
    computed again: prompts of groups, forks, repeated openings. A new event loop begins with nothing kept, unless
    conversations are still open.

    Log-probabilities are float32, at the sampling temperature before top-p; under greedy decoding they are
    those of temperature 1.

    With `deterministic` the same request gives the same ids and log-probabilities to the last bit, whatever
    else is in the batch; without, rounding may differ and, rarely, a token with it. It is several times slower
    (`benchmarks/generation.py` says how much).

    The trainer may change the weights of `model` in place at any time between two turns of the event loop; it
    then calls `set_version`. On a CPU the matrices are held twice, once packed for its kernels.

    Raises `ConfigError` for models whose attention a plain key-value cache cannot serve.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        version: int = 0,
        max_cache_bytes: int = MAX_CACHE_BYTES,
        max_context: int | None = None,
        max_batch_tokens: int | None = None,
        deterministic: bool = False,
    ) -> None:
        config: Any = model.config
        limit: int | None = getattr(config, "max_position_embeddings", None)
        self.max_context = max_context or limit or 4096
        if self.max_context < 16 or (limit is not None and self.max_context > limit):
            raise ConfigError(
                f"max_context must be from 16 to {limit or 'what the model was trained for'}, got {max_context}."
            )
        batch_tokens = _default_batch_tokens(model) if max_batch_tokens is None else max_batch_tokens
        if batch_tokens < 1:
            raise ConfigError(f"max_batch_tokens must be at least 1, got {max_batch_tokens}.")
        self.model = model
        self.tokenizer = tokenizer
        self._version = version
        self._renderer = ChatRenderer(tokenizer)
        self._stop_ids = _stop_ids(model, tokenizer)
        self._batch_tokens = batch_tokens
        self._deterministic = deterministic
        self._forward, self._bytes_per_position = open_forward(model, self.max_context)
        self._max_positions = max_cache_bytes // self._bytes_per_position
        self._fit_context(max_cache_bytes, asked=max_context is not None)
        self._engine = self._make_engine()
        self._sessions: dict[str, _Session] = {}
        self._running: _Loop | None = None

    def _fit_context(self, max_cache_bytes: int, *, asked: bool) -> None:
        """See to it that the longest conversation fits the cache."""
        fitting = 1 << max(0, self._max_positions.bit_length() - 1)
        if self._max_positions < extent_size(self.max_context):
            if asked or fitting < extent_size(1):
                least = extent_size(self.max_context if asked else 1)
                raise ConfigError(
                    f"max_cache_bytes must be at least {least * self._bytes_per_position} for a conversation of "
                    f"{least} tokens, got {max_cache_bytes}. Allow more, or a shorter max_context."
                )
            self.max_context = fitting

    def _make_engine(self) -> AnswerEngine:
        """Return the engine that answers the policy's requests."""
        return self.new_engine()

    def new_engine(self) -> Engine:
        """Return an engine of its own over the same model, to sample from token ids instead of messages."""
        cache = KeyValueCache(self._max_positions, self.max_context)
        return Engine(
            self._forward,
            cache,
            self._stop_ids,
            max_batch_tokens=self._batch_tokens,
            deterministic=self._deterministic,
            version=self._version,
        )

    @property
    def cache_held_bytes(self) -> int:
        """Bytes of keys and values that there is memory for now."""
        return self._engine.held_positions * self._bytes_per_position

    def cache_bytes(self, tokens: int) -> int:
        """Return the bytes that a waiting conversation of so many tokens takes in the cache."""
        return extent_size(tokens) * self._bytes_per_position

    @property
    def version(self) -> int:
        """Counts the weight updates; each completion carries the value its first token was sampled under."""
        return self._version

    @property
    def stats(self) -> EngineStats:
        """What has been computed so far."""
        return self._engine.stats

    def set_version(self, version: int) -> None:
        """Say that the weights have changed: caches made by the old ones are dropped, conversations stay."""
        self._version = version
        self._engine.weights_changed(version)

    def end_session(self, session_id: str) -> None:
        """Forget a conversation and free its slot; a request of it still under way is cancelled."""
        session = self._sessions.pop(session_id, None)
        if session is None:
            return
        if session.ticket is not None and self._running is not None:
            self._abandon(session.ticket, self._running)
        self._engine.lanes.end(session.lane)

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return one completion for each request, in order; raises `InferenceFault` on failure.

        A conversation that is too long gives a completion with `FinishReason.CONTEXT`. Raises `UsageError`
        for a session that already has a request under way, or for sampling values out of range.
        """
        running = self._current_loop()
        self._refuse_wrong(requests)
        tickets = [self._prepare(request, running.loop) for request in requests]
        for ticket in tickets:
            self._start(ticket, running)
        if running.tickets and (running.task is None or running.task.done()):
            running.task = running.loop.create_task(self._run(running))
        try:
            completions = await asyncio.gather(*(ticket.future for ticket in tickets))
        except BaseException:
            if not running.loop.is_closed():  # else the next loop tidies up
                for ticket in tickets:
                    self._abandon(ticket, running)
            raise
        for ticket, completion in zip(tickets, completions, strict=True):
            self._hand_over(ticket, completion)
        return completions

    def _current_loop(self) -> _Loop:
        loop = asyncio.get_running_loop()
        if self._running is not None and self._running.loop is not loop:
            if self._running.tickets and not self._running.loop.is_closed():
                raise UsageError(
                    "This policy is in use on another event loop; make one policy for each loop."
                )
            self._engine.drop_all()  # their loop is gone, nobody waits for them
            for session in self._sessions.values():
                session.ticket = None
            self._running = None
            if not self._sessions:  # so that a run sums as one that is resumed here, to the last bit
                self._engine.start_anew()
        if self._running is None:
            self._running = _Loop(loop)
        return self._running

    def _refuse_wrong(self, requests: Sequence[GenerationRequest]) -> None:
        names: set[str] = set()
        for request in requests:
            sampling, name = request.sampling, request.session_id
            if sampling.max_tokens < 1 or sampling.temperature < 0 or not 0 < sampling.top_p <= 1:
                raise UsageError(
                    f"Sampling needs max_tokens >= 1, temperature >= 0 and 0 < top_p <= 1, got {sampling}."
                )
            if name in names or (name in self._sessions and self._sessions[name].ticket is not None):
                raise UsageError(f"Session {name!r} has a request under way; await it before the next one.")
            if request.timeout_s is not None and request.timeout_s <= 0:
                raise UsageError(f"timeout_s must be above 0, got {request.timeout_s} for session {name!r}.")
            names.add(name)

    def _prepare(self, request: GenerationRequest, loop: asyncio.AbstractEventLoop) -> _Ticket:
        """Render the request and draw its random numbers."""
        session = self._sessions.get(request.session_id)
        if session is None:
            session = self._sessions[request.session_id] = _Session(Lane(request.session_id))
        context = self._renderer.context(request.messages, request.tools, session.exchange)
        previous = session.exchange.ids if session.exchange is not None else ()
        ids = [*previous[: context.prompt_start], *context.prompt_ids]
        wanted = request.sampling.max_tokens if request.dictated is None else 0
        most = max(0, min(self.max_context - len(ids), wanted))
        uniforms = np.random.Generator(np.random.PCG64(request.seed & (2**64 - 1))).random(most, np.float32)
        row = Row(
            session.lane,
            ids,
            len(ids),
            context.prompt_start,
            request.sampling,
            uniforms.tolist(),
            seed=request.seed,
        )
        return _Ticket(session, request, context, row, loop.create_future())

    def _start(self, ticket: _Ticket, running: _Loop) -> None:
        row = ticket.row
        ticket.session.ticket = ticket
        if ticket.request.dictated is not None:
            self._dictate(row, self._renderer.dictated_ids(ticket.request.dictated))
            ticket.future.set_result(self._completion(ticket))
            return
        if not row.uniforms:  # no room for a single token
            row.finish = FinishReason.CONTEXT
            self._engine.lanes.keep(row.lane, row.known)
            ticket.future.set_result(self._completion(ticket))
            return
        running.tickets[row] = ticket
        if ticket.request.timeout_s is not None:
            ticket.timer = running.loop.call_later(
                ticket.request.timeout_s, self._time_out, ticket, ticket.request.timeout_s
            )
        self._engine.submit(row)

    def _dictate(self, row: Row, answer: Sequence[int]) -> None:
        """Finish a row with an answer given beforehand; its keys and values come with the next request."""
        self._engine.lanes.keep(row.lane, row.known)
        if len(row.ids) + len(answer) > self.max_context:
            row.finish = FinishReason.CONTEXT
            return
        row.ids.extend(answer)
        row.logprobs.extend([0.0] * len(answer))
        row.versions.extend([-1] * len(answer))
        ended = bool(answer) and answer[-1] in self._stop_ids
        row.finish = FinishReason.STOP if ended else FinishReason.LENGTH

    def _time_out(self, ticket: _Ticket, seconds: float) -> None:
        """Give a request up; `generate`, which waits for it, abandons it."""
        if not ticket.future.done():
            ticket.future.set_exception(
                InferenceFault(
                    f"Session {ticket.request.session_id!r}: no answer within {seconds:g} seconds, only "
                    f"{len(ticket.row.logprobs)} tokens of it. The session is as it was before the request; ask "
                    "again with more time, fewer tokens, or less at once."
                )
            )

    def _abandon(self, ticket: _Ticket, running: _Loop) -> None:
        """Forget a request whose completion nobody gets: the conversation stays as it was before."""
        ticket.future.cancel()
        _stop_timer(ticket)
        running.tickets.pop(ticket.row, None)
        ticket.session.ticket = None
        self._engine.cancel(ticket.row)

    def _hand_over(self, ticket: _Ticket, completion: Completion) -> None:
        """Let the conversation go on from what the caller now gets."""
        ticket.session.ticket = None
        ticket.session.exchange = ticket.context.answered(ticket.request.messages, ticket.row.ids, completion)

    async def _run(self, running: _Loop) -> None:
        try:
            while self._engine.busy:
                try:
                    finished = self._engine.step()
                except Exception as error:  # noqa: BLE001 - whatever the model raises, the callers must hear of it
                    for row in self._engine.drop_all():
                        row.fault = InferenceFault(f"Session {row.lane.name!r}: the model failed: {error!r}")
                        row.fault.__cause__ = error
                        self._resolve(row, running)
                    continue
                for row in finished:
                    self._resolve(row, running)
                await asyncio.sleep(0)
        finally:
            ours = self._running is running and not running.loop.is_closed()
            for row in self._engine.drop_all() if ours else ():
                row.fault = InferenceFault(f"Session {row.lane.name!r}: generation was stopped.")
                self._resolve(row, running)

    def _resolve(self, row: Row, running: _Loop) -> None:
        ticket = running.tickets.pop(row)
        _stop_timer(ticket)
        if ticket.future.done():  # cancelled just now; its `generate` will abandon it
            return
        if row.fault is not None:
            ticket.future.set_exception(row.fault)
        else:
            ticket.future.set_result(self._completion(ticket))

    def _completion(self, ticket: _Ticket) -> Completion:
        row, context = ticket.row, ticket.context
        assert row.finish is not None  # only finished rows come here
        sampled = row.sampled_ids
        ended = row.finish is FinishReason.STOP
        text = self._renderer.decode(sampled[:-1] if ended else sampled)
        dictated = ticket.request.dictated is not None
        version = row.versions[0] if row.versions else (-1 if dictated else self._version)
        versions = row.versions if any(other != version for other in row.versions) else ()
        return Completion(
            text=text,
            finish_reason=row.finish,
            version=version,
            prompt_start=context.prompt_start,
            prompt_ids=np.array(context.prompt_ids, np.int32),
            completion_ids=np.array(sampled, np.int32),
            logprobs=np.array(row.logprobs, np.float32),
            versions=np.array(versions, np.int32),
            message=parse_answer(text, str(len(row.ids))) if ticket.request.tools else None,
        )


def _stop_timer(ticket: _Ticket) -> None:
    if ticket.timer is not None:
        ticket.timer.cancel()


def _default_batch_tokens(model: PreTrainedModel) -> int:
    # CPU matrix products lose half their speed when their operands outgrow the caches.
    return 1024 if model.device.type == "cpu" else 8192


def _stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids that end a turn: the tokenizer's and those of the model's generation settings."""
    own: Any = tokenizer
    generation: Any = getattr(model, "generation_config", None)
    found: set[int] = set()
    for ids in (own.eos_token_id, getattr(generation, "eos_token_id", None)):
        if ids is not None:
            found.update([ids] if isinstance(ids, int) else ids)
    if not found:
        raise ConfigError("Neither the tokenizer nor the model names an end-of-turn token (eos_token).")
    return sorted(found)
