"""Where an environment server is, and the token that it wants."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from agentgym.core.errors import UsageError

TOKEN_VARIABLE = "AGENTGYM_TOKEN"
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Address:
    """A server's URL without the token, which is never shown."""

    url: str
    """Such as `ws://127.0.0.1:8000`; sessions are at `/ws` below it."""
    host: str
    token: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read a `ws`, `wss`, `http` or `https` URL. The token is its password, else that of AGENTGYM_TOKEN.

        Raises `UsageError` for any other text.

        >>> Address.parse("http://:secret@127.0.0.1:8000/").url
        'ws://127.0.0.1:8000'
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme.lower() not in _SCHEMES or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(
                f"{_shown(url)!r} is no URL of an environment server; write ws://HOST:PORT, wss://, http:// or "
                "https://, without a query."
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        place = host if port is None else f"{host}:{port}"
        path = parts.path.rstrip("/").removesuffix("/ws")
        token = unquote(parts.password or "") or os.environ.get(TOKEN_VARIABLE, "")
        return cls(f"{_SCHEMES[parts.scheme.lower()]}://{place}{path}", parts.hostname, token)

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine, where no proxy is asked."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return self.url


def _shown(url: str) -> str:
    """Return a URL without what stands before an @, which may be a token."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
