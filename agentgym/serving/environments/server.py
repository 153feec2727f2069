"""`EnvServer`: environments behind a port, for OpenEnv's clients and for `agentgym.make("ws://...")`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from agentgym.core.env import EnvSpec
from agentgym.core.task import Split
from agentgym.registry import find_spec
from agentgym.serving.environments.app import Limits, Served, make_app
from agentgym.serving.environments.sockets import SocketProtocol
from agentgym.serving.environments.workshop import Workshop
from agentgym.serving.http import Caller
from agentgym.serving.listening import Listener, checked_token

_log = logging.getLogger(__name__)


class EnvServer:
    """Serves `env` on `host` and `port` (0: any free one). An async context manager.

    Each client has a session, and in it an environment over `split` and with `options`, stepped where the
    environment says. Clients must send `token`. `on_problem` is called with one line about each session that the
    server ends and each failure that is not a client's.

    Raises `UsageError` where the environment cannot be made or served, or the port cannot be had.
    """

    def __init__(
        self,
        env: str | EnvSpec,
        *,
        split: Split | str = Split.TRAIN,
        options: Mapping[str, Any] | None = None,
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits | None = None,
        on_problem: Callable[[str], None] = _log.warning,
    ) -> None:
        self.spec = find_spec(env) if isinstance(env, str) else env
        self.token = checked_token(token)
        self.url = ""
        """Where clients connect, such as `ws://127.0.0.1:40123`; empty until it runs."""
        self._split = Split.parse(split)
        self._options = dict(options or {})
        self._host, self._port = host, port
        self._limits = limits or Limits()
        self._on_problem = on_problem
        self._served: Served | None = None
        self._listener: Listener | None = None

    @property
    def sessions(self) -> int:
        """How many sessions are under way."""
        return 0 if self._served is None else len(self._served.sessions)

    async def __aenter__(self) -> Self:
        self._listener = listener = Listener(self._host, self._port)
        try:
            workshop = Workshop(self.spec, self._split, self._options, self._limits.call_s)
        except BaseException:
            await listener.stop()
            raise
        self._served = Served(workshop, self._limits, Caller(self.token), self._on_problem)
        self.url = f"ws{listener.url.removeprefix('http')}"
        await listener.start(
            make_app(self._served),
            "step environments on this machine",
            self._on_problem,
            ws=SocketProtocol,
            ws_max_size=self._limits.message_bytes,
            ws_per_message_deflate=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listener is not None
        assert self._served is not None
        await self._listener.stop()
        self._served.workshop.close()
