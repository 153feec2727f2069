"""Imagination at work in a run: which groups of an iteration are played in the model, and in which environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

from agentgym.core.env import AgentEnv
from agentgym.core.errors import InfrastructureError
from agentgym.core.task import Task
from agentgym.core.trace import Episode
from agentgym.rollout.collect import derive_seed
from agentgym.store.store import Store
from agentgym.training.assembly import make_env
from agentgym.training.imagination.buffer import ReplayBuffer
from agentgym.training.imagination.edge import EdgeOfAbility
from agentgym.training.imagination.env import ImaginedEnv, ImaginedSuite, imagined_task
from agentgym.training.imagination.model import Opening
from agentgym.training.imagination.parts import Imagining, Mind
from agentgym.training.recipe import Recipe
from agentgym.training.run import Run

PHASE = "imagined"
"""Of the episodes that are played in a model."""


class Dreams:
    """Plans the groups of a run that are played in a model, from what the run has played in the environment.

    `record` returns what an iteration played there. What an iteration dreams is a function of the recipe and the record
    of those before it, so that resuming is exact as far as the model is.
    """

    def __init__(self, recipe: Recipe, part: Imagining, record: Callable[[int], Iterable[Episode]]) -> None:
        self._recipe = recipe
        self._part = part
        self._record = record
        self._buffer = ReplayBuffer()
        self._edge = EdgeOfAbility()
        self._mind: Mind = part.mind(self._buffer)
        self._openings: dict[str, Opening] = {}
        self._iterations = 0
        """Those that are in the buffer."""
        if part.episodes:
            self._buffer.add(_recorded(part.episodes, recipe.environment.id))

    def tasks(self, iteration: int) -> list[Task]:
        """Return the tasks to play in the model, one for each group; fewer where too few are known."""
        while self._iterations < iteration:
            self._take_in(self._record(self._iterations))
            self._iterations += 1
        groups = self._recipe.rollout.tasks
        seeds = self._edge.tasks(min(round(self._part.share * groups), groups - 1))
        varied = round(self._part.varied * len(seeds))
        if not seeds:
            return []
        with closing(make_env(self._recipe)) as env:
            found = [
                self._imagined(env, task, iteration if place < varied else None)
                for place, task in enumerate(seeds)
            ]
        return list({task.id: task for task in found}.values())

    def env_factory(self, tasks: list[Task]) -> Callable[[], AgentEnv]:
        """Return what makes environments in which the tasks are played."""
        with closing(make_env(self._recipe)) as env:
            return partial(
                ImaginedEnv,
                self._mind.model,
                ImaginedSuite(tasks),
                tools=env.tools,
                action_space=env.action_space,
                max_steps=self._recipe.environment.max_turns,
            )

    def close(self) -> None:
        """Free what the model held."""
        if self._mind.speaker is not None:
            self._mind.speaker.close()

    def _take_in(self, episodes: Iterable[Episode]) -> None:
        ordered = sorted(episodes, key=lambda episode: episode.id)
        self._buffer.add(ordered)
        self._edge.take_in(ordered)

    def _imagined(self, env: AgentEnv, task: Task, vary_in: int | None) -> Task:
        opening = self._opening(env, task)
        if vary_in is not None:
            seed = derive_seed(self._recipe.seed, "variation", vary_in, task.key)
            try:
                varied = self._mind.writer.vary(task, opening, seed)
            except InfrastructureError:
                varied = None  # whoever plays in the model will hear of it
            if varied is not None:
                return varied
        return imagined_task(task, opening)

    def _opening(self, env: AgentEnv, task: Task) -> Opening:
        if task.key not in self._openings:
            observation, info = env.reset(seed=task.seed, options={"task": task})
            text = observation if isinstance(observation, str) else observation["text"]
            self._openings[task.key] = Opening(text, str(info.get("instruction", "")), env.state_key())
        return self._openings[task.key]


def make_dreams(recipe: Recipe, record: Callable[[int], Iterable[Episode]]) -> Dreams | None:
    """Return the dreams of a recipe that imagines."""
    part = recipe.imagination
    return Dreams(recipe, part, record) if isinstance(part, Imagining) else None


def _recorded(path: str, env_id: str) -> list[Episode]:
    """Return the train episodes that a run has played in an environment."""
    run = Run.open(Path(path))
    with Store(run.store, create=False) as store:
        return [each for each in store.episodes(run.name, phase="train") if each.task.env_id == env_id]
