"""The back office: a desk with tools, a policy, a database, and a user who wants something."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from agentgym.core.task import Split
from agentgym.environments.backoffice.env import BackofficeEnv
from agentgym.environments.backoffice.tasks import ENV_ID, BackofficeSuite
from agentgym.environments.backoffice.user import Voice


class BackofficeSpec:
    """How to make the back office and its suite."""

    id = ENV_ID
    name = "backoffice"
    summary = "Tool use at four desks (shop, travel, calendar and mail, helpdesk): database, policy, user"

    def make(
        self,
        split: Split,
        *,
        difficulty: str | None = None,
        domains: Iterable[str] | None = None,
        max_steps: int = 60,
        voice: Voice | None = None,
        render_mode: str | None = None,
        expert: str = "careful",
    ) -> BackofficeEnv:
        """Build an environment; see `BackofficeSuite` and `BackofficeEnv` for the options."""
        suite = self.suite(difficulty=difficulty, domains=domains)
        return BackofficeEnv(
            suite, split, max_steps=max_steps, voice=voice, render_mode=render_mode, expert=expert
        )

    def suite(
        self, *, difficulty: str | None = None, domains: Iterable[str] | None = None
    ) -> BackofficeSuite:
        """Return the suite, all of it or the given difficulty and domains."""
        return _suite(difficulty, domains if domains is None or isinstance(domains, str) else tuple(domains))


@lru_cache(maxsize=64)
def _suite(difficulty: str | None, domains: str | tuple[str, ...] | None) -> BackofficeSuite:
    """Share suites between environments, and with them the scripts that they have written."""
    return BackofficeSuite(difficulty, domains)


SPEC = BackofficeSpec()
