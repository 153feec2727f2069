"""Answering a call over HTTP: whom it is for, how it is sampled, and what happens when its client hangs up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Protocol

from starlette.types import Receive

from agentgym.core.policy import Sampling
from agentgym.serving.conversations import Node
from agentgym.serving.http import left
from agentgym.serving.wire.call import Call


class Line(Protocol):
    """Where a call comes in: an attempt, or calls that belong to no rollout."""

    async def ask(self, call: Call, sampling: Sampling, timeout_s: float | None) -> Node:
        """Have the policy answer."""
        ...

    def deliver(self, node: Node, call: Call) -> None:
        """Note that the answer is sent."""
        ...

    def withhold(self, node: Node) -> None:
        """Note that nobody waits for the answer."""
        ...


class HungUp(Exception):
    """The client is gone; nobody reads an answer."""


class GivenUp(Exception):
    """The attempt ended before its call was answered."""


async def answered(line: Line, call: Call, sampling: Sampling, timeout_s: float, receive: Receive) -> Node:
    """Return the answer to a call whose request has been read, ready to be sent.

    Raises `HungUp` when the client leaves first: generation is stopped, and nothing of it is kept. Raises `GivenUp`
    where the line cancels the call.
    """
    asking = asyncio.create_task(line.ask(call, sampling, timeout_s))
    leaving = asyncio.create_task(left(receive))
    delivered = False
    try:
        await asyncio.wait({asking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            raise HungUp
        if asking.cancelled():
            raise GivenUp
        node = asking.result()
        line.deliver(node, call)
        delivered = True
        return node
    finally:
        leaving.cancel()
        asking.cancel()
        await asyncio.wait({asking, leaving})
        if not delivered and not asking.cancelled() and asking.exception() is None:
            line.withhold(asking.result())


def rollout_sampling(call: Call, own: Sampling) -> Sampling:
    """Return how a rollout's call is sampled: as the trainer expects it, whatever temperature the client wants."""
    return replace(own, max_tokens=min(own.max_tokens, call.max_tokens or own.max_tokens))


def loose_sampling(call: Call, own: Sampling) -> Sampling:
    """Return how a call outside rollouts is sampled: as the client wants it."""
    return Sampling(
        temperature=own.temperature if call.temperature is None else call.temperature,
        top_p=own.top_p if call.top_p is None else call.top_p,
        max_tokens=call.max_tokens or own.max_tokens,
    )
