"""The desktop: real applications under a real X server, worked with by mouse and keyboard."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from agentgym.core.errors import UsageError
from agentgym.core.task import Split
from agentgym.environments.desktop.tasks import ENV_ID, DesktopSuite

if TYPE_CHECKING:
    from agentgym.environments.desktop.env import DesktopEnv


class DesktopSpec:
    """How to make the desktop and its suite."""

    id = ENV_ID
    name = "desktop"
    summary = "A desktop of six real applications under Xvfb: AT-SPI's tree and pictures, mouse and keyboard"

    def make(
        self,
        split: Split,
        *,
        difficulty: str | None = None,
        templates: Iterable[str] | None = None,
        max_steps: int = 40,
        pictures: bool = False,
        render_mode: str | None = None,
    ) -> DesktopEnv:
        """Build an environment; see `DesktopSuite` and `DesktopEnv` for the options.

        Raises `UsageError` naming what to install, where something is missing.
        """
        from importlib.util import find_spec

        from agentgym.environments.desktop.box import must_have_desktop

        if find_spec("Xlib") is None:
            raise UsageError(
                "The desktop needs python-xlib; install it with `pip install 'agentgym-harness[desktop]'`."
            )
        must_have_desktop()
        from agentgym.environments.desktop.env import DesktopEnv

        return DesktopEnv(
            self.suite(difficulty=difficulty, templates=templates),
            split,
            max_steps=max_steps,
            pictures=pictures,
            render_mode=render_mode,
        )

    def suite(self, *, difficulty: str | None = None, templates: Iterable[str] | None = None) -> DesktopSuite:
        """Return the suite, all of it or the given difficulty and templates."""
        names = (
            (templates,) if isinstance(templates, str) else None if templates is None else tuple(templates)
        )
        return _suite(difficulty, names)


@lru_cache(maxsize=64)
def _suite(difficulty: str | None, templates: tuple[str, ...] | None) -> DesktopSuite:
    return DesktopSuite(difficulty, templates)


SPEC = DesktopSpec()
"""The desktop as registered."""
