"""A mail room: read the board, and put each letter into the pigeonhole of its addressee."""

from __future__ import annotations

from agentgym.cli.starters.environment.starter_world.env import StarterWorldEnv
from agentgym.cli.starters.environment.starter_world.tasks import ENV_ID, StarterWorldSuite
from agentgym.core.task import Split


class StarterWorldSpec:
    """How to make the world and its suite; `agentgym` finds it by the entry point in pyproject.toml."""

    id = ENV_ID
    name = "starter_world"
    summary = "Sort letters into pigeonholes, by what the board says"

    def make(
        self, split: Split, *, letters: int = 2, max_steps: int = 12, render_mode: str | None = None
    ) -> StarterWorldEnv:
        """Build an environment over a split; `letters` says how many there are to sort."""
        return StarterWorldEnv(
            self.suite(letters=letters), split, max_steps=max_steps, render_mode=render_mode
        )

    def suite(self, *, letters: int = 2) -> StarterWorldSuite:
        """Return the suite of tasks."""
        return StarterWorldSuite(letters)


SPEC = StarterWorldSpec()
