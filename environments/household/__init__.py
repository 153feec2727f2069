"""The household world: find, clean, heat, cool, examine and put things away, in text."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from agentgym.core.task import Split
from agentgym.environments.household.env import HouseholdEnv
from agentgym.environments.household.tasks import ENV_ID, HouseholdSuite


class HouseholdSpec:
    """How to make the household world and its suite."""

    id = ENV_ID
    name = "household"
    summary = "ALFWorld's household chores as a fast text game, with generated rooms and tasks"

    def make(
        self,
        split: Split,
        *,
        difficulty: str | None = None,
        task_types: Iterable[str] | None = None,
        max_steps: int = 50,
        admissible: bool = True,
        render_mode: str | None = None,
        expert: str = "planner",
    ) -> HouseholdEnv:
        """Build an environment; see `HouseholdSuite` and `HouseholdEnv` for the options."""
        suite = self.suite(difficulty=difficulty, task_types=task_types)
        return HouseholdEnv(
            suite, split, max_steps=max_steps, admissible=admissible, render_mode=render_mode, expert=expert
        )

    def suite(
        self, *, difficulty: str | None = None, task_types: Iterable[str] | None = None
    ) -> HouseholdSuite:
        """Return the suite, all of it or the given difficulty and task types."""
        types = task_types if task_types is None or isinstance(task_types, str) else tuple(task_types)
        return _suite(difficulty, types)


@lru_cache(maxsize=64)
def _suite(difficulty: str | None, task_types: str | tuple[str, ...] | None) -> HouseholdSuite:
    """Share suites between environments, and with them the worlds that they have built."""
    return HouseholdSuite(difficulty, task_types)


SPEC = HouseholdSpec()
