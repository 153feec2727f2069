"""Hosts as an allow-list names them: `example.org`, `example.org:8443`, `192.0.2.1:80`, `[2001:db8::1]:443`."""

from __future__ import annotations

import re

from agentgym.core.errors import ConfigError

WEB = frozenset({80, 443})
"""The ports that are meant where none is named."""
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[a-zA-Z0-9_.-]+))(?::(?P<port>[0-9]{1,5}))?")


def parse_host(text: str) -> tuple[str, frozenset[int]]:
    """Return a host, in small letters and without brackets, and its ports. Raises `ConfigError`."""
    match = _HOST.fullmatch(text)
    host = ((match["six"] or match["name"]) if match else "").lower().rstrip(".")
    port = int(match["port"]) if match and match["port"] else None
    if not host or port == 0 or (port or 0) > 65535:
        raise ConfigError(
            f"{text!r} is no host; one is such as 'example.org' (ports 80 and 443), 'example.org:8443' or "
            "'192.0.2.1:80': no scheme, no path, no wildcard."
        )
    return host, WEB if port is None else frozenset({port})
