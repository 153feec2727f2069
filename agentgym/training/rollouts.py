"""The rollouts of a run: which tasks an iteration plays, and playing them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentgym.core.policy import Policy
from agentgym.core.trace import Episode
from agentgym.rollout.collect import collect, plan_groups
from agentgym.training.assembly import make_agent, make_env, train_tasks
from agentgym.training.recipe import Recipe


class Rollouts:
    """Plays groups of train tasks with a policy, as a recipe says."""

    def __init__(self, recipe: Recipe, policy: Policy) -> None:
        self._recipe = recipe
        self._agent = make_agent(recipe, policy, recipe.rollout.temperature)
        self._tasks = train_tasks(recipe)

    def play(self, iteration: int, on_episode: Callable[[Episode], None]) -> list[Episode]:
        """Play the groups of an iteration; a function of the recipe, the iteration and the weights."""
        recipe, settings = self._recipe, self._recipe.rollout
        tasks = recipe.sampling.draw(self._tasks, settings.tasks, iteration, recipe.seed)
        label = f"train-{iteration:06d}"
        return asyncio.run(
            collect(
                plan_groups(tasks, settings.group_size, label=label, seed=recipe.seed),
                self._agent,
                lambda: make_env(recipe),
                concurrency=settings.concurrency,
                max_turns=recipe.environment.max_turns,
                on_episode=on_episode,
            )
        )
