"""A language model as the voice of a simulated user: it says what a script says, in words of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agentgym.core.asking import ask_once
from agentgym.core.message import Message
from agentgym.core.policy import GenerationRequest, Policy, Sampling

PROMPT = (
    "You play a person who talks to a service desk. You are given the line that the person says next. Say it in your own "
    "words, as people talk, in one to three sentences. Keep every name, number, id, date, time and address exactly as "
    "it is, add no wish and no fact, and write nothing but what the person says."
)


class ModelVoice:
    """Puts a user's lines in the words of a policy, such as `agentgym.policies.endpoint.EndpointPolicy`.

    `seed` fixes what is sampled, where the policy samples by seed.
    """

    def __init__(self, policy: Policy, *, sampling: Sampling | None = None, seed: int = 0) -> None:
        self._policy = policy
        self._sampling = sampling or Sampling(max_tokens=200)
        self._seed = seed

    def __call__(self, line: str, talk: Sequence[tuple[str, str]]) -> str:
        """Return the line as the policy puts it; `talk` is the conversation so far, as pairs of who (`agent`, `user`)
        and what. Raises `InferenceFault` where the policy cannot be asked."""
        return asyncio.run(self._say(line, talk))

    async def _say(self, line: str, talk: Sequence[tuple[str, str]]) -> str:
        so_far = "\n".join(f"{'Desk' if who == 'agent' else 'You'}: {what}" for who, what in talk)
        asked = f"The conversation so far:\n{so_far or '(nothing yet)'}\n\nThe line to say now:\n{line}"
        messages = [Message("system", PROMPT), Message("user", asked)]
        session = f"user voice {self._seed} {len(talk)}"
        request = GenerationRequest(session, messages, self._sampling, self._seed + len(talk))
        completion = await ask_once(self._policy, request)
        return completion.as_message().content.strip()
