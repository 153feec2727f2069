"""An ASGI application on a port of its own, served on the event loop that starts it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import socket
from collections.abc import Callable, Generator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from agentgym.core.errors import UsageError

_GRACE_S = 2
"""How long answers that are being sent at the end may take."""


def checked_token(token: str | None) -> str:
    """Return the token that clients must send, made here unless given; raises `UsageError` for one that they cannot."""
    if token is not None and (not token or not token.isascii() or not token.isprintable() or " " in token):
        raise UsageError("A token is printable ASCII without spaces; leave it out to have one made.")
    return token or secrets.token_urlsafe(24)


class Listener:
    """A port of `host` (0: any free one) that is taken from now on; raises `UsageError` where it cannot be had."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = _listen(host, port)
        """Bound, and listening once something is served on it."""
        self._host = f"[{host}]" if ":" in host else host
        self.port: int = self.socket.getsockname()[1]
        self.url = f"http://{self._host}:{self.port}"
        """Such as `http://127.0.0.1:40123`."""
        self._open_to_all = not _is_loopback(host)
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Let go of a port on which nothing was served."""
        self.socket.close()

    async def start(
        self, app: ASGIApp, what: str, on_problem: Callable[[str], None], **settings: Any
    ) -> None:
        """Serve `app`. `what` is what the token lets people do, `settings` are uvicorn's."""
        if self._open_to_all:
            on_problem(
                f"Listening on {self._host}, not on this machine alone: everyone who can reach port {self.port} and "
                f"has the token can {what}, and the token travels unencrypted."
            )
        config = uvicorn.Config(
            app,
            http="h11",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            **settings,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([self.socket]))
        await self._server.ready.wait()

    async def stop(self) -> None:
        """End what is being served, and free the port."""
        if self._server is None or self._serving is None:
            self.close()
            return
        self._server.should_exit = True
        await asyncio.wait([self._serving])


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
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise UsageError(f"Cannot listen on {host}, port {port}: {error.strerror}. {advice}") from error
    # Accepted sockets inherit it: a peer that vanished without a word is noticed in the end.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
