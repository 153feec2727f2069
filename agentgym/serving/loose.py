"""Calls that belong to no rollout."""

from __future__ import annotations

from agentgym.core.policy import Policy, Sampling
from agentgym.serving.conversations import Conversations, Node
from agentgym.serving.wire.call import Call

REMEMBERED = 64
"""Conversations that can be gone on with, the latest ones."""


class LooseCalls:
    """Answers calls without recording them.

    All of them share one store of conversations: a call that goes on from one of the latest answers goes on in its
    session, whoever sends it. There is no episode, so nothing of this is ever trained on.
    """

    def __init__(self, policy: Policy, seed: int) -> None:
        self._conversations = Conversations(policy, "gateway, no rollout", REMEMBERED)
        self._seed = seed

    async def ask(self, call: Call, sampling: Sampling, timeout_s: float | None) -> Node:
        """Have the policy answer a call; `deliver` or `withhold` what comes of it."""
        seed = self._seed if call.seed is None else call.seed
        return await self._conversations.ask(call.messages, call.tools, sampling, seed, timeout_s)

    def deliver(self, node: Node, call: Call) -> None:
        """Let later calls go on from an answer."""
        self._conversations.keep(node, call.messages)

    def withhold(self, node: Node) -> None:
        """Forget an answer."""
        self._conversations.drop(node)

    def close(self) -> None:
        """End every conversation."""
        self._conversations.close()
