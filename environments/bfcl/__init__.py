"""BFCL's multi-turn problems: a user's requests, answered with calls of simulated APIs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from agentgym.core.task import Split
from agentgym.environments.bfcl.env import BfclEnv
from agentgym.environments.bfcl.tasks import ENV_ID, BfclSuite


class BfclSpec:
    """How to make the environment and its suite; both raise `UsageError` where bfcl-eval is not installed."""

    id = ENV_ID
    name = "bfcl"
    summary = (
        "BFCL v4 multi-turn: requests of a user, solved with simulated APIs (needs the package bfcl-eval)"
    )

    def make(
        self,
        split: Split,
        *,
        categories: Iterable[str] | None = None,
        max_steps: int = 100,
        render_mode: str | None = None,
    ) -> BfclEnv:
        """Build an environment; see `BfclSuite` and `BfclEnv` for the options."""
        return BfclEnv(self.suite(categories=categories), split, max_steps=max_steps, render_mode=render_mode)

    def suite(self, *, categories: Iterable[str] | None = None) -> BfclSuite:
        """Return the suite, all of it or the given categories, shared between the environments of a process."""
        chosen = categories if categories is None or isinstance(categories, str) else tuple(categories)
        return _suite(chosen)


@lru_cache(maxsize=16)
def _suite(categories: str | tuple[str, ...] | None) -> BfclSuite:
    return BfclSuite(categories)


SPEC = BfclSpec()
