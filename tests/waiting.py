"""Waiting for something that another thread, process or client does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(holds: Callable[[], bool], patience_s: float = 60.0) -> bool:
    """Wait until something holds, and return whether it does."""
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
