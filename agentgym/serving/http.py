"""What stands between the socket and a server: the token, the size and the form of a request's body."""

from __future__ import annotations

import asyncio
import hmac
import json
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope

from agentgym.core import strict_json
from agentgym.serving.problems import Refusal
from agentgym.serving.wire.anthropic_messages import MESSAGES
from agentgym.serving.wire.openai_chat import CHAT

DISCARDED = 8
"""A body that is too large is read on, and thrown away, up to so many times the limit: most clients read the answer
only after they have sent everything."""


class Caller:
    """Checks that a request bears the token."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def check(self, headers: Headers) -> None:
        """Raise `Refusal` (401) unless the token is there."""
        given = [headers.get("x-api-key", ""), _credential(headers.get("authorization", ""))]
        if not any(hmac.compare_digest(one.encode("utf-8", "replace"), self._token) for one in given):
            raise Refusal(
                401,
                "This server wants its token: as `Authorization: Bearer ...`, as `x-api-key`, or as the password of "
                "the URL. It was shown when the server started.",
                code="invalid_api_key",
            )


def _credential(authorization: str) -> str:
    """Return the bearer's token, or the password of Basic, which is what clients make of one in a URL."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        with suppress(ValueError):
            return b64decode(rest, validate=True).decode().partition(":")[2]
    return ""


async def read_json(
    request: Request, max_bytes: int, timeout_s: float, *, empty: bool = False
) -> Mapping[str, Any]:
    """Return the body, which must be a JSON object, or with `empty` may be missing.

    Raises `Refusal` where it is not, or too large, or too slow.
    """
    try:
        async with asyncio.timeout(timeout_s):
            data = await _read(request, max_bytes)
    except TimeoutError:
        raise Refusal(408, f"The body did not arrive within {timeout_s:g} s.") from None
    if empty and not data:
        return {}
    try:
        value: Any = strict_json.loads(data)
        json.dumps(value, ensure_ascii=False).encode()  # lone surrogates, which no tokenizer takes
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is not JSON in UTF-8: {error}.", code="invalid_json") from None
    if not isinstance(value, dict):
        raise Refusal(
            400, f"The body must be a JSON object, got a {type(value).__name__}.", code="invalid_json"
        )
    return cast("dict[str, Any]", value)


async def _read(request: Request, max_bytes: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size <= max_bytes:
            pieces.append(piece)
        elif size > DISCARDED * max_bytes:
            break
    if size > max_bytes:
        raise Refusal(413, f"The body is larger than {max_bytes:,} bytes.", code="request_too_large")
    return b"".join(pieces)


async def left(receive: Receive) -> None:
    """Wait until the client hangs up. Its request must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def refusal_response(scope: Scope, refusal: Refusal) -> Response:
    """Return a refusal in the words of the API that was called."""
    problem = MESSAGES.problem if scope["path"].endswith("/messages") else CHAT.problem
    headers: dict[str, str] = {}
    if refusal.status < 500:
        headers["x-should-retry"] = "false"  # OpenAI's and Anthropic's clients repeat a 409 otherwise
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(problem(refusal), refusal.status, headers)
