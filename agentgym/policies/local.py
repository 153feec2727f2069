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
from agentgym.policies.engine import Engine, EngineStats, Row
from agentgym.policies.rendering import ChatRenderer, Context, Exchange
from agentgym.policies.slots import Lane


@dataclass(slots=True, eq=False)
class _Session:
    lane: Lane
    exchange: Exchange | None = None
    row: Row | None = None


@dataclass(slots=True, eq=False)
class _Ticket:
    """A request under way."""

    session: _Session
    request: GenerationRequest
    context: Context
    future: asyncio.Future[Completion]


@dataclass(slots=True)
class _Loop:
    """The event loop in use and the engine task on it."""

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[None] | None = None
    tickets: dict[Row, _Ticket] = field(default_factory=dict["Row", "_Ticket"])


class LocalPolicy:
    """Continues conversations with `model`; implements `agentgym.core.policy.Policy`.

    The keys and values of up to `max_sessions` conversations are kept across turns. `max_context` is the
    longest conversation in tokens (default: what the model was made for); one forward takes at most
    `max_batch_tokens`. Log-probabilities are float32, at the sampling temperature before top-p; under
    greedy decoding they are those of temperature 1.

    The trainer may change the weights of `model` in place between two calls; it then calls `set_version`.

    Raises `ConfigError` for models whose attention a plain key-value cache cannot serve.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        version: int = 0,
        max_sessions: int = 256,
        max_context: int | None = None,
        max_batch_tokens: int = 2048,
    ) -> None:
        config: Any = model.config
        limit: int | None = getattr(config, "max_position_embeddings", None)
        self.max_context = max_context or limit or 4096
        if self.max_context < 16 or (limit is not None and self.max_context > limit):
            raise ConfigError(
                f"max_context must be from 16 to {limit or 'what the model was trained for'}, got {max_context}."
            )
        if max_sessions < 1 or max_batch_tokens < 1:
            raise ConfigError(
                f"max_sessions and max_batch_tokens must be at least 1, got {max_sessions} and {max_batch_tokens}."
            )
        self.model = model
        self.tokenizer = tokenizer
        self._version = version
        self._renderer = ChatRenderer(tokenizer)
        self._stop_ids = _stop_ids(model, tokenizer)
        self._engine = Engine(
            model,
            sorted(self._stop_ids),
            max_sessions=max_sessions,
            max_context=self.max_context,
            max_batch_tokens=max_batch_tokens,
        )
        self._sessions: dict[str, _Session] = {}
        self._running: _Loop | None = None

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
        self._engine.invalidate()

    def end_session(self, session_id: str) -> None:
        """Forget a conversation and free its slot; a request of it still under way is cancelled."""
        session = self._sessions.pop(session_id, None)
        if session is None:
            return
        if session.row is not None and self._running is not None:
            ticket = self._running.tickets.get(session.row)
            self._abandon(session.row)
            if ticket is not None:
                ticket.future.cancel()
        self._engine.slots.release(session.lane)

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return one completion for each request, in order; raises `InferenceFault` on failure.

        A conversation that is too long gives a completion with `FinishReason.CONTEXT`. Raises `UsageError`
        for a session that already has a request under way, or for sampling values out of range.
        """
        running = self._current_loop()
        tickets = [self._open(request, running.loop) for request in requests]
        futures = [self._start(ticket, running) for ticket in tickets]
        if running.tickets and (running.task is None or running.task.done()):
            running.task = running.loop.create_task(self._run(running))
        try:
            return [await future for future in futures]
        except BaseException:
            for ticket in tickets:
                if ticket.session.row is not None:
                    self._abandon(ticket.session.row)
                ticket.future.cancel()
            raise

    def _current_loop(self) -> _Loop:
        loop = asyncio.get_running_loop()
        if self._running is not None and self._running.loop is not loop:
            if self._running.tickets and not self._running.loop.is_closed():
                raise UsageError(
                    "This policy is in use on another event loop; make one policy for each loop."
                )
            for row in self._engine.drop_all():  # their loop is gone, nobody waits for them
                self._session_of(row, self._running).row = None
            self._running = None
        if self._running is None:
            self._running = _Loop(loop)
        return self._running

    @staticmethod
    def _session_of(row: Row, running: _Loop) -> _Session:
        return running.tickets[row].session

    def _open(self, request: GenerationRequest, loop: asyncio.AbstractEventLoop) -> _Ticket:
        sampling = request.sampling
        if sampling.max_tokens < 1 or sampling.temperature < 0 or not 0 < sampling.top_p <= 1:
            raise UsageError(
                f"Sampling needs max_tokens >= 1, temperature >= 0 and 0 < top_p <= 1, got {sampling}."
            )
        session = self._sessions.get(request.session_id)
        if session is None:
            session = self._sessions[request.session_id] = _Session(Lane(request.session_id))
        context = self._renderer.context(request.messages, request.tools, session.exchange)
        return _Ticket(session, request, context, loop.create_future())

    def _start(self, ticket: _Ticket, running: _Loop) -> asyncio.Future[Completion]:
        session, request, context = ticket.session, ticket.request, ticket.context
        if session.row is not None:
            raise UsageError(
                f"Session {request.session_id!r} has a request under way; await it before the next one."
            )
        previous = session.exchange.ids if session.exchange is not None else ()
        ids = [*previous[: context.prompt_start], *context.prompt_ids]
        room = self.max_context - len(ids)
        uniforms = np.random.Generator(np.random.PCG64(request.seed & (2**64 - 1)))
        row = Row(
            session.lane,
            ids,
            len(ids),
            request.sampling,
            uniforms.random(max(0, min(room, request.sampling.max_tokens)), np.float32).tolist(),
            self._version,
        )
        if room < 1:
            row.finish = FinishReason.CONTEXT
            self._engine.slots.keep(session.lane, context.prompt_start)
            ticket.future.set_result(self._complete(row, ticket))
            return ticket.future
        session.row = row
        running.tickets[row] = ticket
        self._engine.submit(row, context.prompt_start)
        return ticket.future

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
            for row in self._engine.drop_all():
                row.fault = InferenceFault(f"Session {row.lane.name!r}: generation was stopped.")
                self._resolve(row, running)

    def _resolve(self, row: Row, running: _Loop) -> None:
        ticket = running.tickets.pop(row)
        ticket.session.row = None
        if row.fault is not None:
            ticket.future.set_exception(row.fault)
        else:
            ticket.future.set_result(self._complete(row, ticket))

    def _abandon(self, row: Row) -> None:
        self._engine.cancel(row)
        if self._running is not None and row in self._running.tickets:
            self._running.tickets.pop(row).session.row = None

    def _complete(self, row: Row, ticket: _Ticket) -> Completion:
        """Record the exchange and return what was sampled."""
        sampled = row.sampled_ids
        ended = bool(sampled) and sampled[-1] in self._stop_ids
        text = self._renderer.decode(sampled[:-1] if ended else sampled)
        context = ticket.context
        ticket.session.exchange = Exchange(tuple(ticket.request.messages), context.text, row.ids, text, ended)
        assert row.finish is not None  # rows come here finished
        return Completion(
            text=text,
            finish_reason=row.finish,
            version=row.version,
            prompt_start=context.prompt_start,
            prompt_ids=np.array(context.prompt_ids, np.int32),
            completion_ids=np.array(sampled, np.int32),
            logprobs=np.array(row.logprobs, np.float32),
        )


def _stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the ids that end a turn: the tokenizer's and those of the model's generation settings."""
    own: Any = tokenizer
    generation: Any = getattr(model, "generation_config", None)
    found: set[int] = set()
    for ids in (own.eos_token_id, getattr(generation, "eos_token_id", None)):
        if ids is not None:
            found.update([ids] if isinstance(ids, int) else ids)
    if not found:
        raise ConfigError("Neither the tokenizer nor the model names an end-of-turn token (eos_token).")
    return frozenset(found)
