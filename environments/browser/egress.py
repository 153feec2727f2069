"""What pages may load: everything below one address, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from agentgym.core.errors import UsageError

_NOWHERE = "http://127.0.0.1:9"
"""A proxy that is not there (port 9 is `discard`): what is sent to it goes nowhere."""


@dataclass(frozen=True)
class Egress:
    """Whatever begins with `base`, such as `http://127.0.0.1:8123/` or `file:///usr/share/pages/`, may be loaded.

    Enforced twice: requests for anything else are aborted and told, and what never comes by there (web sockets,
    say) is sent to a proxy that does not exist.
    """

    base: str

    def __post_init__(self) -> None:
        if urlsplit(self.base).scheme not in ("http", "https", "file") or not self.base.endswith("/"):
            raise UsageError(
                f"What a browser may load begins with http://, https:// or file:// and ends with '/', got "
                f"{self.base!r}."
            )

    @classmethod
    def below(cls, folder: Path) -> Egress:
        """Allow the files in a folder."""
        return cls(f"{folder.resolve().as_uri()}/")

    def allows(self, url: str) -> bool:
        """Whether a tab may go to `url`."""
        return url.startswith(self.base)

    def full(self, address: str) -> str:
        """Return the whole of an address that may be short: one that begins with `/` is below `base`."""
        return f"{self.base}{address[1:]}" if address.startswith("/") else address

    def short(self, url: str) -> str:
        """Return an address as it is shown: without `base`, which differs from run to run where it has a port."""
        return f"/{url.removeprefix(self.base)}" if self.allows(url) else url

    @cached_property
    def forbidden(self) -> re.Pattern[str]:
        """Matches the requests to abort; read as a regular expression of JavaScript too."""
        return re.compile(f"^(?!{re.escape(self.base)}|data:|blob:|about:)")

    @property
    def proxy(self) -> tuple[str, str]:
        """The proxy for everything, and what goes past it; loopback is no exception by itself."""
        place = urlsplit(self.base).netloc
        return _NOWHERE, f"<-loopback>,{place}" if place else "<-loopback>"
