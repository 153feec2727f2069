"""The shop without a browser: its application is called in process, as a server would call it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from agentgym.core.errors import EnvironmentFault
from agentgym.environments.webshop.app import COOKIE, Shop

_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class View:
    """A page as a visitor without a browser gets it."""

    address: str
    text: str
    controls: dict[str, tuple[str, Sequence[Sequence[str]] | None]]
    """By label: the address, and what is posted, or None for a link."""


class Visitor:
    """Somebody in the shop, with a session."""

    def __init__(self, shop: Shop, session: str) -> None:
        self._app: Any = shop.app
        headers = (
            (b"host", b"shop"),
            (b"accept", b"application/json"),
            (b"cookie", f"{COOKIE}={session}".encode()),
        )
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "server": ("shop", 80),
            "client": ("visitor", 0),
            "root_path": "",
            "headers": headers,
        }

    def get(self, address: str) -> View:
        """Go to an address, and on to where it leads."""
        return self._follow("GET", address, b"")

    def click(self, view: View, label: str) -> View:
        """Follow a link or post a form."""
        address, form = view.controls[label]
        if form is None:
            return self._follow("GET", address, b"")
        return self._follow("POST", address, urlencode([(name, value) for name, value in form]).encode())

    def search(self, query: str) -> View:
        """Send the search form."""
        return self._follow("GET", f"/search?{urlencode({'q': query})}", b"")

    def _follow(self, method: str, address: str, body: bytes) -> View:
        status = 0
        for _ in range(_REDIRECTS):
            status, location, data = self._call(method, address, body)
            if status == 200:
                found = json.loads(data)
                return View(
                    found["address"],
                    found["text"],
                    {label: (to, form) for label, to, form in found["controls"]},
                )
            if status != 303:
                break
            method, address, body = "GET", location, b""
        raise EnvironmentFault(f"The shop answered {method} {address:.200} with status {status}.")

    def _call(self, method: str, address: str, body: bytes) -> tuple[int, str, bytes]:
        path, _, query = address.partition("?")
        scope = {
            **self._scope,
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
        }
        status, location, data = 0, "", b""

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, location, data
            if message["type"] == "http.response.start":
                status = message["status"]
                location = next(
                    (value.decode() for name, value in message["headers"] if name == b"location"), ""
                )
            else:
                data += message.get("body", b"")

        # Nothing in the shop waits for anything, so that its coroutines run to their end without an event loop.
        running = self._app(scope, receive, send)
        try:
            running.send(None)
        except StopIteration:
            return status, location, data
        running.close()
        raise EnvironmentFault(f"The shop waits for something in {method} {path:.200}; it must not.")
