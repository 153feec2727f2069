"""Asking a policy one thing, in a conversation of its own."""

from __future__ import annotations

from agentgym.core.message import Message
from agentgym.core.policy import Completion, GenerationRequest, Policy, Sampling


async def ask_once(policy: Policy, request: GenerationRequest) -> Completion:
    """Return the answer to a request; its session ends, whatever comes of it. Raises `InferenceFault`."""
    try:
        (completion,) = await policy.generate([request])
    finally:
        policy.end_session(request.session_id)
    return completion


class Questions:
    """Asks a policy one question after another; their sessions are `NAME-1`, `NAME-2`, ..."""

    def __init__(self, policy: Policy, name: str, sampling: Sampling) -> None:
        self._policy = policy
        self._name = name
        self._sampling = sampling
        self._asked = 0

    async def ask(self, prompt: str, seed: int = 0) -> str:
        """Return the text of the answer; raises `InferenceFault`."""
        self._asked += 1
        session = f"{self._name}-{self._asked}"
        request = GenerationRequest(session, [Message("user", prompt)], self._sampling, seed)
        return (await ask_once(self._policy, request)).text
