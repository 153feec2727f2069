"""Where Chromium is, and how it is started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from agentgym.core.errors import UsageError

VARIABLE = "AGENTGYM_CHROMIUM"
"""The environment variable that names a browser in place of the system's."""

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

ARGUMENTS = (
    # As root, and in containers, Chromium's own sandbox cannot start. What pages reach is limited by `Egress`.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--allow-file-access-from-files",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    # One look everywhere.
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--hide-scrollbars",
    # What a key scrolls is there at once, not some frames later.
    "--disable-smooth-scrolling",
)


def find_chromium() -> str:
    """Return the path of the browser; raises `UsageError` that says what to install where there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise UsageError(f"{VARIABLE} names {named!r}, which is no program; correct it, or unset it.")
        return named
    for name in _NAMES:
        found = shutil.which(name)
        if found:
            return found
    raise UsageError(
        f"There is no Chromium on this machine (looked for {', '.join(_NAMES)}). Install it with "
        f"`apt install chromium`, or name another one in {VARIABLE}."
    )


def must_have_browser() -> None:
    """Raise `UsageError` that says what to install where Playwright or Chromium is missing."""
    from importlib.util import find_spec as find_module

    if find_module("playwright") is None:
        raise UsageError(
            "Worlds in a browser need Playwright; install it with `pip install 'agentgym-harness[browser]'`."
        )
    find_chromium()
