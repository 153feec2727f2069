"""WebSockets as sessions see them: questions that come in time, a client that may hang up, answers that must go out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, cast

from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_ABORT = "agentgym.abort"
_CLOSE_S = 10.0
"""A connection is torn down if so many seconds after its end what was sent last is not on its way."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's own, except that a connection to a peer that does not read is torn down, never left waiting."""

    async def run_asgi(self) -> None:
        """Run the application, which can tear the connection down, and do so after its end if need be."""
        cast("dict[str, Any]", self.scope)["extensions"][_ABORT] = self.transport.abort
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(_CLOSE_S, self.transport.abort)

    async def send(self, message: ASGISendEvent) -> None:
        """Send; a refusal that is out counts as an answer, which it does not there."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """Tear down a connection that no longer answers."""
        super().keepalive_timeout()
        self.transport.abort()


class HungUp(Exception):
    """The client is gone."""


class Line:
    """The questions on a WebSocket, one at a time; times in seconds."""

    def __init__(self, websocket: WebSocket, idle_s: float, send_s: float) -> None:
        self._websocket = websocket
        self._idle_s = idle_s
        self._send_s = send_s
        self._next: asyncio.Task[Any] | None = None
        """Hears the next question, or that there is none, while an answer is being found."""

    async def question(self) -> str | bytes:
        """Wait for the next message; raises `HungUp`, or `TimeoutError` where none comes."""
        heard, self._next = self._next, None
        async with asyncio.timeout(self._idle_s):
            event: Any = await (self._websocket.receive() if heard is None else heard)
        if event["type"] == "websocket.disconnect":
            raise HungUp
        text = event.get("text")
        return event["bytes"] if text is None else text

    async def while_there(self, answering: Coroutine[Any, Any, str | None]) -> str | None:
        """Wait for an answer as long as the client does; raises `HungUp`, and cancels it, where that is gone."""
        answer = asyncio.create_task(answering)
        self._next = hearing = asyncio.create_task(self._websocket.receive())
        try:
            await asyncio.wait({answer, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and hearing.result()["type"] == "websocket.disconnect":
                raise HungUp
            return await answer
        finally:
            if not answer.done():
                answer.cancel()
                await asyncio.wait({answer})

    async def send(self, text: str) -> None:
        """Send an answer; raises `HungUp` where the client is gone or does not read."""
        try:
            async with asyncio.timeout(self._send_s):
                await self._websocket.send_text(text)
        except (TimeoutError, WebSocketDisconnect, ClientDisconnected, RuntimeError) as error:
            raise HungUp from error

    async def close(self, *, hung_up: bool) -> None:
        """End the connection: with a word to a client that is there, at once to one that is not."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait({self._next})
        if hung_up:
            self._websocket.scope["extensions"][_ABORT]()
            return
        with suppress(TimeoutError, WebSocketDisconnect, ClientDisconnected, RuntimeError):
            async with asyncio.timeout(self._send_s):
                await self._websocket.close()
