"""Snapshots that say whose they are, and can be told from damaged ones: what environments share of it."""

from __future__ import annotations

import hashlib

from agentgym.core.errors import UsageError

_CHECKSUM_BYTES = 8


def seal(kind: str, body: bytes) -> bytes:
    """Return `body` as a snapshot of a kind, such as `household 1`: name and version of what is in it."""
    return _head(kind) + _checksum(body) + body


def unseal(kind: str, snapshot: bytes) -> bytes:
    """Return the body of a snapshot of this kind. Raises `UsageError` for any other bytes, and for damaged ones."""
    head = _head(kind)
    if not snapshot.startswith(head):
        raise UsageError(
            f"These {len(snapshot)} bytes are no snapshot of the kind {kind!r}; restore a snapshot in an environment "
            "of the kind that made it."
        )
    start = len(head) + _CHECKSUM_BYTES
    body = snapshot[start:]
    if snapshot[len(head) : start] != _checksum(body):
        raise UsageError(f"A snapshot of {len(snapshot)} bytes is damaged or cut off; make it again.")
    return body


def _head(kind: str) -> bytes:
    return f"agentgym {kind}\n".encode()


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM_BYTES).digest()
