"""A server on an event loop in a thread of its own, so that tests can be its clients."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator
from typing import Any

from agentgym.core.env import EnvSpec
from agentgym.serving.environments.server import EnvServer
from tests.waiting import eventually

PATIENCE_S = 60.0
"""Long enough for any machine; a test that waits so long fails."""


class Stand:
    """A running server."""

    def __init__(self, server: EnvServer, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.problems: list[str] = []
        self._loop = loop

    @property
    def url(self) -> str:
        """With the token in it."""
        return self.server.url.replace("ws://", f"ws://:{self.server.token}@")

    @property
    def http(self) -> str:
        """Likewise, for the other half."""
        return self.url.replace("ws://", "http://")

    def empty(self) -> bool:
        """Whether no session is left, after a while if need be."""
        return eventually(lambda: self.server.sessions == 0)


@contextlib.contextmanager
def served(env: str | EnvSpec, **settings: Any) -> Generator[Stand]:
    """Serve an environment until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    problems: list[str] = []
    server = EnvServer(env, on_problem=problems.append, **settings)
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(PATIENCE_S)
        stand = Stand(server, loop)
        stand.problems = problems
        try:
            yield stand
        finally:
            stop = asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop)
            stop.result(PATIENCE_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()
