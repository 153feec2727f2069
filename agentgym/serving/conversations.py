"""From separate calls to conversations: which call goes on from which answer.

APIs keep nothing between calls: each brings its whole history. A call whose history is that of an earlier call,
its answer, and something new goes on from there, in the same session of the policy, so that cached keys and
values and the sampled ids are kept. Any other call begins or branches: one that goes on from an answer that has
been gone on from already (parallel sub-agents, a second try) gets a session in which the answers so far are
recited as they were sampled; one whose history was changed (compaction, an edit) begins anew.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from agentgym.core.errors import UsageError
from agentgym.core.message import Message
from agentgym.core.policy import Completion, FinishReason, GenerationRequest, Policy, Sampling
from agentgym.core.tool import ToolSpec
from agentgym.rollout.collect import derive_seed
from agentgym.serving.problems import Refusal

COUNTED = 1024
"""For each answer that is remembered, conversations of which it is known how often they were asked: they keep the
samples of one conversation apart, and take next to no memory."""


class TooLong(Refusal):
    """A conversation that leaves the model no room for an answer."""

    def __init__(self) -> None:
        message = "This conversation is as long as the model's context, or longer. Shorten it."
        super().__init__(400, message, code="context_length_exceeded", param="messages")


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """An answered call."""

    parent: Node | None
    """The call whose answer it goes on from."""
    number: int
    """Calls are numbered as they arrive."""
    state: str
    """Hash of the conversation that was to be answered."""
    news: tuple[Message, ...]
    """What the conversation has more than after the parent's answer."""
    length: int
    """Messages of the conversation, the answer included."""
    tools: tuple[ToolSpec, ...]
    completion: Completion
    context_ids: NDArray[np.int32]
    """The whole context of the answer; empty where the policy shows no ids."""
    seconds: float
    """How long the answer took."""

    def path(self) -> list[Node]:
        """Return the calls from the first of the conversation to this one."""
        path: list[Node] = [self]
        while path[-1].parent is not None:
            path.append(path[-1].parent)
        return path[::-1]


def _no_ids() -> NDArray[np.int32]:
    return np.empty(0, np.int32)


@dataclass(slots=True, eq=False)
class _Session:
    """A session of the policy and what has been said in it."""

    name: str
    told: tuple[Message, ...] = ()
    """With the answers as the policy gave them, whatever form they come back in."""
    ids: NDArray[np.int32] = field(default_factory=_no_ids)


class Conversations:
    """The conversations of one rollout with `policy`; `name` begins the names of its sessions.

    At most `most` answers are remembered, the latest ones.
    """

    def __init__(self, policy: Policy, name: str, most: int | None = None) -> None:
        self._policy = policy
        self._name = name
        self._most = most
        self._calls = 0
        self._asked: OrderedDict[str, int] = OrderedDict()
        """How often each conversation was to be answered, the latest last."""
        self._answered: OrderedDict[str, Node] = OrderedDict()
        """By the hash of the conversation with the answer."""
        self._free: dict[Node, _Session] = {}
        """Sessions that can go on from their last answer."""
        self._used: dict[Node, _Session] = {}
        """Sessions whose last answer is not kept yet."""
        self._open: set[_Session] = set()

    async def ask(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        seed: int,
        timeout_s: float | None,
    ) -> Node:
        """Have the policy answer; `keep` or `drop` what comes of it.

        What is sampled depends on `seed`, the conversation and how often it was asked, not on the order in which
        calls arrive. Raises `TooLong` where there is no room for an answer, and what the policy raises. Where this
        raises or is cancelled the conversations are as before.
        """
        number, self._calls = self._calls, self._calls + 1
        chain = list(_hashes(messages, tools))
        state = chain[-1]
        again = self._count(state)
        parent = next((self._answered[h] for h in reversed(chain[:-1]) if h in self._answered), None)
        known = parent.length if parent is not None else 0
        started = perf_counter()
        session = await self._session_after(parent, f"{self._name}#{number}")
        try:
            news = _in_own_ids(messages[known:], messages[:known], session.told)
            told = (*session.told, *news)
            seed = derive_seed(seed, state, again)
            completion = await self._generate(session, told, tools, sampling, seed, timeout_s, None)
        except BaseException:
            self._give_back(session, parent)
            raise
        if completion.finish_reason is FinishReason.CONTEXT and not completion.text:
            self._end(session)
            raise TooLong
        context = np.concatenate([session.ids[: completion.prompt_start], completion.prompt_ids])
        node = Node(
            parent=parent,
            number=number,
            state=state,
            news=news,
            length=len(messages) + 1,
            tools=tuple(tools),
            completion=completion,
            context_ids=context,
            seconds=perf_counter() - started,
        )
        self._advance(session, told, completion)
        self._used[node] = session
        return node

    def keep(self, node: Node, messages: Sequence[Message]) -> None:
        """Let conversations go on from an answer that the client has got; `messages` are those of its call."""
        state = state_of([*messages, node.completion.as_message()], node.tools)
        self._forget(self._answered.pop(state, None))
        self._answered[state] = node
        self._give_back(self._used.pop(node), node)
        if self._most is not None and len(self._answered) > self._most:
            self._forget(self._answered.popitem(last=False)[1])

    def drop(self, node: Node) -> None:
        """Forget an answer that nobody got."""
        self._end(self._used.pop(node))

    def close(self) -> None:
        """End every session."""
        for session in list(self._open):
            self._end(session)
        self._free.clear()
        self._used.clear()
        self._answered.clear()

    def _count(self, state: str) -> int:
        """Return how often a conversation was to be answered before, as far as is remembered."""
        before = self._asked.pop(state, 0)
        self._asked[state] = before + 1
        if self._most is not None and len(self._asked) > COUNTED * self._most:
            self._asked.popitem(last=False)
        return before

    def _forget(self, node: Node | None) -> None:
        """End the session of an answer that can no longer be found."""
        session = self._free.pop(node, None) if node is not None else None
        if session is not None:
            self._end(session)

    async def _session_after(self, parent: Node | None, name: str) -> _Session:
        """Return a session that goes on from `parent`: its own where that is free, else a new one of this name."""
        session = self._free.pop(parent, None) if parent is not None else None
        if session is not None:
            return session
        session = _Session(name)
        self._open.add(session)
        try:
            for node in parent.path() if parent is not None else ():
                await self._recite(session, node)
        except BaseException:
            self._end(session)
            raise
        return session

    async def _recite(self, session: _Session, node: Node) -> None:
        """Let an earlier answer be the session's own; without ids the conversation is simply told."""
        told = (*session.told, *node.news)
        completion = node.completion
        if len(completion.completion_ids):
            answer = tuple(completion.completion_ids.tolist())
            with suppress(UsageError):  # a server cannot be told ids; it sees whole conversations anyway
                completion = await self._generate(session, told, node.tools, Sampling(), 0, None, answer)
        self._advance(session, told, completion)

    async def _generate(
        self,
        session: _Session,
        told: tuple[Message, ...],
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        seed: int,
        timeout_s: float | None,
        dictated: tuple[int, ...] | None,
    ) -> Completion:
        request = GenerationRequest(session.name, told, sampling, seed, tools, dictated, timeout_s)
        (completion,) = await self._policy.generate([request])
        return completion

    def _advance(self, session: _Session, told: tuple[Message, ...], completion: Completion) -> None:
        kept = session.ids[: completion.prompt_start]
        session.ids = np.concatenate([kept, completion.prompt_ids, completion.completion_ids])
        session.told = (*told, completion.as_message())

    def _give_back(self, session: _Session, node: Node | None) -> None:
        """Leave a session where it can be found, if it is any use there."""
        found = node is not None and node in reversed(self._answered.values())
        if node is None or not found or node in self._free or session not in self._open:
            self._end(session)
        else:
            self._free[node] = session

    def _end(self, session: _Session) -> None:
        self._open.discard(session)
        self._policy.end_session(session.name)


def _in_own_ids(
    news: Sequence[Message], heard: Sequence[Message], told: Sequence[Message]
) -> tuple[Message, ...]:
    """Return what is new in a conversation with the results of tools under the policy's own ids of its calls.

    `heard` is what came before as the client has it, `told` the same as the policy has it. The ids may differ:
    some clients make their own, and equal answers count as one, whatever the ids of their calls.
    """
    own: dict[str | None, str] = {}
    for theirs, ours in zip([*heard, *news], [*told, *news], strict=True):
        own |= {one.id: other.id for one, other in zip(theirs.tool_calls, ours.tool_calls, strict=True)}
    return tuple(
        replace(message, tool_call_id=own.get(message.tool_call_id, message.tool_call_id)) for message in news
    )


def state_of(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    """Return the hash of a conversation."""
    *_, state = _hashes(messages, tools)
    return state


def _hashes(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Iterator[str]:
    """Yield a hash of each beginning of a conversation, one for each message.

    Ids of calls are left out, so that equal conversations have equal hashes, and so is space around answers,
    which some clients strip.
    """
    running = hashlib.blake2b(digest_size=8)
    offered = [[tool.name, tool.description, dict(tool.input_schema)] for tool in tools]
    running.update(json.dumps(offered, sort_keys=True).encode())
    for message in messages:
        content = message.content.strip() if message.role == "assistant" else message.content
        calls = [[call.name, dict(call.arguments)] for call in message.tool_calls]
        running.update(json.dumps([message.role, content, calls], sort_keys=True).encode())
        yield running.hexdigest()
