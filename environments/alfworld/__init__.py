"""ALFWorld's own games, played by the household engine."""

from __future__ import annotations

import os
from functools import lru_cache

from agentgym.core.task import Split
from agentgym.environments.alfworld.suite import DATA_VARIABLE, ENV_ID, AlfworldSuite
from agentgym.environments.household.env import HouseholdEnv


class AlfworldSpec:
    """How to make the environment over a folder of ALFWorld games, and its suite."""

    id = ENV_ID
    name = "alfworld"
    summary = "ALFWorld's own game folders, played by the household engine (needs data=DIR or ALFWORLD_DATA)"

    def make(
        self,
        split: Split,
        *,
        data: str | os.PathLike[str] | None = None,
        max_steps: int = 50,
        admissible: bool = True,
        render_mode: str | None = None,
    ) -> HouseholdEnv:
        """Build an environment over the games below `data`; see `AlfworldSuite` and `HouseholdEnv`."""
        suite = self.suite(data=data)
        return HouseholdEnv(suite, split, max_steps=max_steps, admissible=admissible, render_mode=render_mode)

    def suite(self, *, data: str | os.PathLike[str] | None = None) -> AlfworldSuite:
        """Return the suite of the games below `data`, shared between the environments of a process."""
        return _suite(os.fspath(data or os.environ.get(DATA_VARIABLE) or ""))


@lru_cache(maxsize=8)
def _suite(data: str) -> AlfworldSuite:
    return AlfworldSuite(data)


SPEC = AlfworldSpec()
