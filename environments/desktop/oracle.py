"""The expert: each task comes with a plan, which it follows as long as nothing else was done."""

from __future__ import annotations

from collections.abc import Sequence


def next_action(plan: Sequence[str], done: Sequence[str]) -> str | None:
    """Return the next action of a plan, then `done()`; None where what was done is no part of it.

    `done` are the actions carried out so far, without those that were refused.
    """
    if list(plan[: len(done)]) != list(done):
        return None
    return plan[len(done)] if len(done) < len(plan) else "done()"
