"""What names a state of a memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def snapshot_sha(members: Iterable[str]) -> str:
    """Return the hash of a set of versions: 64 hex digits, whatever their order; empty for the empty set."""
    ordered = sorted(set(members))
    return hashlib.sha256("\n".join(ordered).encode()).hexdigest() if ordered else ""
