"""`Gateway`: a policy behind the APIs that agents are written for, whose calls become episodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from agentgym.core.policy import Policy, Sampling
from agentgym.core.trace import Episode, Outcome, StopReason
from agentgym.rollout.collect import EpisodePlan
from agentgym.serving.app import Limits, Served, make_app
from agentgym.serving.attempt import Attempt, AttemptKey
from agentgym.serving.http import Caller
from agentgym.serving.listening import Listener, checked_token
from agentgym.serving.loose import LooseCalls
from agentgym.serving.registry import Registry

_log = logging.getLogger(__name__)


def _ignore(episode: Episode) -> None:
    pass


class Gateway:
    """Serves `policy` as `model` on `host` and `port` (0: any free one). An async context manager.

    Agents get `url` or, for a rollout, `base_url(...)`, and `token` as their key. `sampling` is how rollouts are
    sampled, whatever their clients ask for: log-probabilities must be at the temperature that the trainer
    expects. `on_episode` is called with each episode as it ends, `on_problem` with one line about each request
    that is not carried out. The policy is called on the event loop that enters the context.

    Raises `UsageError` where the port cannot be had, and as it closes the first failure of `on_episode`.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        model: str = "policy",
        sampling: Sampling | None = None,
        seed: int = 0,
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits | None = None,
        on_episode: Callable[[Episode], None] = _ignore,
        on_problem: Callable[[str], None] = _log.warning,
    ) -> None:
        self.model = model
        self.token = checked_token(token)
        self.url = ""
        """Root of the server, such as `http://127.0.0.1:40123`; empty until it runs."""
        self._host = host
        self._port = port
        self._limits = limits or Limits()
        self._on_problem = on_problem
        self._registry = Registry(policy, seed, on_episode)
        self._loose = LooseCalls(policy, seed)
        self._sampling = sampling or Sampling(max_tokens=512)
        self._listener: Listener | None = None
        self._ending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._listener = Listener(self._host, self._port)
        self.url = self._listener.url
        served = Served(
            self._registry,
            self._loose,
            self.model,
            self._sampling,
            self._limits,
            Caller(self.token),
            self._on_problem,
        )
        await self._listener.start(make_app(served), "use the policy", self._on_problem, ws="none")
        self._ending = asyncio.create_task(self._end_idle())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listener is not None
        assert self._ending is not None
        try:
            self._registry.close()
        finally:
            self._ending.cancel()
            await self._listener.stop()
            self._loose.close()

    def base_url(self, rollout: str, attempt: int = 1) -> str:
        """Return the base URL of an attempt, for OpenAI's clients; Anthropic's want it without `/v1`."""
        return f"{self.url}{AttemptKey(rollout, attempt).path}/v1"

    def open(self, rollout: str, attempt: int = 1, plan: EpisodePlan | None = None) -> Attempt:
        """Begin an attempt at what is planned; raises `Refusal` where there is or was one of this name.

        An attempt that is not begun here begins with its first call: then its rollout's id is its task and its group.
        """
        return self._registry.open(AttemptKey(rollout, attempt), plan)

    async def episode(self, rollout: str, attempt: int = 1) -> Episode:
        """Wait until an attempt has its reward (or was ended without one) and return what was recorded.

        Raises `UsageError` for one that ended so long ago that it is forgotten.
        """
        return await self._registry.episode(AttemptKey(rollout, attempt))

    async def _end_idle(self) -> None:
        idle_s = self._limits.idle_s
        while True:
            await asyncio.sleep(min(idle_s / 4, 30.0))
            for attempt in self._registry.idle(idle_s):
                why = f"nothing happened for {idle_s:g} s."
                self._on_problem(f"Attempt {attempt.key} was ended without a score: {why}")
                try:
                    attempt.end(Outcome.CANCELLED, StopReason.CANCELLED, why.capitalize())
                except Exception as error:  # noqa: BLE001 - the next ones must end too
                    self._on_problem(f"The episode of attempt {attempt.key} could not be kept: {error!r}")
