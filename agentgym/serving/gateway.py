"""`Gateway`: a policy behind the APIs that agents are written for, whose calls become episodes."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import secrets
import socket
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Self

import uvicorn

from agentgym.core.errors import UsageError
from agentgym.core.policy import Policy, Sampling
from agentgym.core.trace import Episode, Outcome, StopReason
from agentgym.rollout.collect import EpisodePlan
from agentgym.serving.app import Limits, Served, make_app
from agentgym.serving.attempt import Attempt, AttemptKey
from agentgym.serving.http import Caller
from agentgym.serving.loose import LooseCalls
from agentgym.serving.registry import Registry

_log = logging.getLogger(__name__)
_GRACE_S = 2
"""How long answers that are being sent when the gateway closes may take."""


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
        if token is not None and (
            not token or not token.isascii() or not token.isprintable() or " " in token
        ):
            raise UsageError("A token is printable ASCII without spaces; leave it out to have one made.")
        self.model = model
        self.token = token or secrets.token_urlsafe(24)
        self.url = ""
        """Root of the server, such as `http://127.0.0.1:40123`; empty until it runs."""
        self._host = host
        self._port = port
        self._limits = limits or Limits()
        self._on_problem = on_problem
        self._registry = Registry(policy, seed, on_episode)
        self._loose = LooseCalls(policy, seed)
        self._sampling = sampling or Sampling(max_tokens=512)
        self._tasks: list[asyncio.Task[None]] = []
        self._server: _Server | None = None

    async def __aenter__(self) -> Self:
        listener = _listen(self._host, self._port)
        port = listener.getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{host}:{port}"
        if not _is_loopback(self._host):
            self._on_problem(
                f"Listening on {host}, not on this machine alone: everyone who can reach port {port} and has the "
                "token can use the policy, and the token travels unencrypted."
            )
        served = Served(
            self._registry,
            self._loose,
            self.model,
            self._sampling,
            self._limits,
            Caller(self.token),
            self._on_problem,
        )
        config = uvicorn.Config(
            make_app(served),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._server = _Server(config)
        serving = asyncio.create_task(self._server.serve([listener]))
        self._tasks = [serving, asyncio.create_task(self._end_idle())]
        await self._server.ready.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        try:
            self._registry.close()
        finally:
            self._server.should_exit = True
            serving, ending = self._tasks
            ending.cancel()
            await asyncio.wait([serving, ending])
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


class _Server(uvicorn.Server):
    """A server that leaves the process's signals alone and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the program."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.ready.set()


def _listen(host: str, port: int) -> socket.socket:
    advice = "Choose another with --host or --port; port 0 is any free one."
    if not 0 <= port < 1 << 16:
        raise UsageError(f"There is no port {port}. {advice}")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UsageError(f"Cannot listen on {host}, port {port}: {error.strerror}. {advice}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
