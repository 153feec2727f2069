"""Training from demonstrations: the expert's play of an iteration's tasks, in the policy's own tokens."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from agentgym.rollout.collect import derive_seed
from agentgym.training.assembly import make_agent, make_env, train_tasks
from agentgym.training.demonstrations import Demonstration, demonstrate, tokenise
from agentgym.training.experience import Experience, Keep
from agentgym.training.recipe import Recipe


class DemonstratedEpisodes:
    """Lets the environment's expert play the tasks that the recipe draws."""

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> None:
        self._recipe = recipe
        self._tokenizer = tokenizer
        self._tasks = train_tasks(recipe)

    def play(self, iteration: int, keep: Keep) -> Experience:
        """Return the expert's episodes of an iteration's tasks, each a group of its own, without those the expert
        does not solve within the recipe's turns. Where it solves none, the iteration is one
        without update."""
        recipe = self._recipe
        found = self._demonstrations(iteration)
        told = tokenise(
            found,
            self._tokenizer,
            lambda policy: make_agent(recipe, policy, recipe.rollout.temperature),
            lambda: make_env(recipe),
        )
        names = [f"demonstration-{iteration:06d}/{number:04d}" for number in range(len(found))]
        episodes = [
            replace(episode, id=name, group_id=name)
            for name, episode in zip(names, asyncio.run(told), strict=True)
        ]
        for episode in episodes:
            keep(episode, "demonstration")
        return Experience(episodes)

    def _demonstrations(self, iteration: int) -> list[Demonstration]:
        recipe = self._recipe
        tasks = recipe.sampling.draw(self._tasks, recipe.rollout.tasks, iteration, recipe.seed)
        with closing(make_env(recipe)) as env:
            played = [
                demonstrate(
                    env,
                    task,
                    noise=0.0,
                    seed=derive_seed(recipe.seed, "demonstrated", iteration, number),
                    max_turns=recipe.environment.max_turns,
                )
                for number, task in enumerate(tasks)
            ]
        return [item for item in played if item is not None]
