"""WebSockets as sessions see them: questions that come in time, a client that may hang up, answers that must go out."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, cast

from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_ABORT = "agentgym.abort"
_CLOSE_S = 2.0
"""A client has so long to confirm the end of a session, and again for the last of what was sent to be on its way."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's own, except that a connection to a peer that does not read is torn down, never left waiting."""

    async def run_asgi(self) -> None:
        """Run the application, which can tear the connection down, and do so after its end if need be."""
        self.close_timeout = _CLOSE_S
        cast("dict[str, Any]", self.scope)["extensions"][_ABORT] = self._tear_down
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(2 * _CLOSE_S, self._tear_down)

    async def send(self, message: ASGISendEvent) -> None:
        """Send; a refusal that is out counts as an answer, which it does not there."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """Tear down a connection that no longer answers."""
        super().keepalive_timeout()
        self._tear_down()

    def _tear_down(self) -> None:
        connection: Any = self.transport.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:
            # Or else the kernel would keep what was not read, and wait.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
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
        event: Any = await self._receive(heard)
        if event["type"] == "websocket.disconnect":
            raise HungUp
        text = event.get("text")
        return event["bytes"] if text is None else text

    async def _receive(self, heard: asyncio.Task[Any] | None) -> Any:
        hearing = heard or asyncio.ensure_future(self._websocket.receive())
        try:
            # Twice half the time: where the loop was held up, what has come meanwhile counts as in time.
            for _ in range(2):
                await asyncio.wait({hearing}, timeout=self._idle_s / 2)
                if hearing.done():
                    return hearing.result()
            raise TimeoutError
        finally:
            hearing.cancel()

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
        """Send an answer; raises `HungUp` where the client is gone, or does not read and is cut off."""
        try:
            async with asyncio.timeout(self._send_s):
                await self._websocket.send_text(text)
        except TimeoutError as error:
            self._websocket.scope["extensions"].get(_ABORT, _nothing)()
            raise HungUp from error
        except (WebSocketDisconnect, ClientDisconnected, RuntimeError) as error:
            raise HungUp from error

    async def close(self, *, hung_up: bool) -> None:
        """End the connection, with a word to a client that is there."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait({self._next})
        if hung_up:
            return
        with suppress(TimeoutError, WebSocketDisconnect, ClientDisconnected, RuntimeError):
            async with asyncio.timeout(self._send_s):
                await self._websocket.close()


def _nothing() -> None:
    """In place of a way to tear a connection down, where another server than ours runs the application."""
