"""Who may see the pages, and what the pages may do: the token, the names of this machine, the browser's rules."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_RULES = {
    # Only what this server sends is loaded; nothing runs that is written into a page.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


class Door:
    """Lets in who has the token: from the URL once, from then on as a cookie of the browser."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = f"agentgym_viewer_{port}"  # cookies belong to a host, whatever the port
        self._hosts = [f"{host}:{port}" for host in _LOCAL]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""

        async def ruled(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_RULES)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._answer(scope) or self._app
        await answer(scope, receive, ruled)

    def _answer(self, scope: Scope) -> Response | None:
        """Return what keeps the request out, or sets the cookie; None for one that may pass."""
        headers = Headers(scope=scope)
        if headers.get("host", "") not in self._hosts:  # another site's name that resolves to this machine
            return PlainTextResponse("These pages are for the browser of this machine.\n", 403)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("These pages are only read.\n", 405, {"allow": "GET, HEAD"})
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if self._is_token(value for name, value in query if name == "token"):
            return self._welcome(scope, query)
        if self._is_token([cookie_parser(headers.get("cookie", "")).get(self._cookie, "")]):
            return None
        return PlainTextResponse(
            "These pages want the token of the viewer: open the whole URL that `agentgym view` shows.\n", 401
        )

    def _welcome(self, scope: Scope, query: list[tuple[str, str]]) -> Response:
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        path = "/" + scope["raw_path"].decode("latin-1").lstrip("/")  # `//host` would be another site
        response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        response.set_cookie(self._cookie, self._token.decode(), httponly=True, samesite="lax")
        return response

    def _is_token(self, given: Iterable[str]) -> bool:
        return any(hmac.compare_digest(one.encode("utf-8", "replace"), self._token) for one in given)
