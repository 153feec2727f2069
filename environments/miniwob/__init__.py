"""MiniWoB++: 130 small tasks on real web pages, in a real browser."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from agentgym.core.task import Split
from agentgym.environments.miniwob.tasks import ENV_ID, MiniwobSuite

if TYPE_CHECKING:
    from agentgym.environments.miniwob.env import MiniwobEnv


class MiniwobSpec:
    """How to make the environment and its suite; both raise `UsageError` where miniwob is not installed."""

    id = ENV_ID
    name = "miniwob"
    summary = "MiniWoB++: 130 kinds of small tasks on web pages, in Chromium (needs the package miniwob)"

    def make(
        self,
        split: Split,
        *,
        pages: Iterable[str] | None = None,
        max_steps: int = 50,
        screenshots: bool = False,
        timed: bool = False,
        render_mode: str | None = None,
    ) -> MiniwobEnv:
        """Build an environment; see `MiniwobSuite` and `MiniwobEnv` for the options."""
        from agentgym.environments.miniwob.env import MiniwobEnv  # Playwright is for those who play

        return MiniwobEnv(
            self.suite(pages=pages),
            split,
            max_steps=max_steps,
            screenshots=screenshots,
            timed=timed,
            render_mode=render_mode,
        )

    def suite(self, *, pages: Iterable[str] | None = None) -> MiniwobSuite:
        """Return the suite, all of it or the given pages, shared between the environments of a process."""
        return _suite(pages if pages is None or isinstance(pages, str) else tuple(pages))


@lru_cache(maxsize=16)
def _suite(pages: str | tuple[str, ...] | None) -> MiniwobSuite:
    return MiniwobSuite(pages)


SPEC = MiniwobSpec()
