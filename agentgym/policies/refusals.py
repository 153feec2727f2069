"""What an OpenAI-compatible server means by an HTTP error, and whose fault it is.

No message has the API key in it: servers repeat parts of it, so what they say about one is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any, NamedTuple, cast

_OVERFLOW = re.compile(
    r"(context|sequence|model) (length|window|size)|exceeds? the (available )?context|too many (input )?tokens",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model\b.*\b(does not exist|not found|not exist|unknown|is not (a )?valid)", re.IGNORECASE
)
_SAID = 400
"""Most characters repeated of what a server says."""


class Meaning(Enum):
    """What the caller is to make of a refusal."""

    AGAIN = auto()
    """Another attempt may work: too many requests, or a failure of the server."""
    CONTEXT = auto()
    """The conversation is too long for the model."""
    KEY = auto()
    """The API key is missing or wrong, or may not do this."""
    QUOTA = auto()
    """The account has nothing left to spend."""
    MODEL = auto()
    """The server does not have the model."""
    ADDRESS = auto()
    """There is no such API at this address."""
    REQUEST = auto()
    """The server does not take the request."""


class Refusal(NamedTuple):
    """An HTTP error, read."""

    meaning: Meaning
    said: str
    """The status and the server's own words, for people."""
    retry_after_s: float = 0.0
    """How long the server asks to be left alone."""


def read_refusal(status: int, body: object, headers: Mapping[str, str], secret: str) -> Refusal:
    """Tell what a response with an error status means; `body` is OpenAI's `error` object, or whatever came."""
    error = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    code, kind = str(error.get("code") or ""), str(error.get("type") or "")
    words = error.get("message") or error.get("detail") or (body if isinstance(body, str) else "")
    message = str(words)
    meaning = _meaning(status, code, kind, message, structured="message" in error)
    said = f"HTTP {status}"
    if message and meaning is not Meaning.KEY:
        said += f": {clean(message, secret)}"
    return Refusal(meaning, said, _retry_after_s(headers) if meaning is Meaning.AGAIN else 0.0)


def clean(text: str, secret: str) -> str:
    """Return text of a server on one line, cut, without the API key."""
    line = " ".join(text.split())
    if secret:
        line = line.replace(secret, "[key]")
    return line if len(line) <= _SAID else line[:_SAID] + " ..."


def _meaning(status: int, code: str, kind: str, message: str, *, structured: bool) -> Meaning:
    if status in (401, 403):
        return Meaning.KEY
    if code == "insufficient_quota" or status == 402:
        return Meaning.QUOTA
    if status in (408, 409, 425, 429) or status >= 500:
        return Meaning.AGAIN
    if code == "context_length_exceeded" or "context_size" in kind or _OVERFLOW.search(message):
        return Meaning.CONTEXT
    if code == "model_not_found" or _NO_MODEL.search(message):
        return Meaning.MODEL
    if status in (404, 405) and not structured:
        return Meaning.ADDRESS
    return Meaning.MODEL if status == 404 else Meaning.REQUEST


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Return what the Retry-After header asks for (RFC 9110, section 10.2.3: seconds, or a date)."""
    told = headers.get("retry-after", "")
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(told)
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, (when.astimezone(UTC) - datetime.now(UTC)).total_seconds())
