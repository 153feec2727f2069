"""The evaluations that belong to a run: held-out before and after, `select` in between."""

from __future__ import annotations

import asyncio

from agentgym.core.task import Split
from agentgym.evaluation.contamination import trained_keys
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.runner import evaluate
from agentgym.policies.local import LocalPolicy
from agentgym.store.store import Store
from agentgym.training.assembly import make_agent
from agentgym.training.progress import Progress
from agentgym.training.remembering.library import RunLibrary
from agentgym.training.run import Run
from agentgym.training.watch import Watch


class Evaluations:
    """Plays and keeps a run's evaluations, with the `library` that the run has; one that is on disk already is not
    played again."""

    def __init__(
        self,
        run: Run,
        store: Store,
        policy: LocalPolicy,
        progress: Progress,
        library: RunLibrary | None = None,
    ) -> None:
        self._run = run
        self._store = store
        self._policy = policy
        self._progress = progress
        self._library = library

    def heldout(self, name: str) -> None:
        """Evaluate on the held-out tasks as `name` (before, after), unless the recipe has none."""
        tasks = self._run.recipe.evaluation.heldout_tasks
        if tasks:
            iteration = 0 if name == "before" else self._run.recipe.iterations
            self._evaluate(name, iteration, Split.HELDOUT, tasks)

    def select(self, iteration: int) -> None:
        """Evaluate on the `select` tasks where the recipe wants it after `iteration` iterations; 0 is the start."""
        section = self._run.recipe.evaluation
        if section.every and iteration % section.every == 0:
            self._evaluate(f"select-{iteration:06d}", iteration, Split.SELECT, section.select_tasks)

    def _evaluate(self, name: str, iteration: int, split: Split, tasks: int) -> None:
        """Play an evaluation unless there is its file; either way it is in the store, of which some is dropped when a
        run resumes."""
        path = self._run.evaluation(name)
        if not path.is_file():
            self._play(name, split, tasks).save(path)
        self._store.add_evaluation(self._run.name, iteration, name, path.read_text("utf-8"))

    def _play(self, name: str, split: Split, tasks: int) -> Evaluation:
        recipe, library = self._run.recipe, self._library
        trained = trained_keys(self._store, self._run.name) if split is Split.HELDOUT else frozenset[str]()
        if library is not None and split is Split.HELDOUT:
            trained |= library.learned_from
        watch = Watch(self._run, self._progress)
        monitor = watch.monitor()
        evaluation = asyncio.run(
            evaluate(
                recipe.environment.id,
                make_agent(
                    recipe,
                    self._policy,
                    recipe.evaluation.temperature,
                    f"{recipe.name}, {name}",
                    memory=library,
                ),
                split,
                tasks=tasks,
                samples=recipe.evaluation.samples,
                seed=recipe.seed,
                max_turns=recipe.environment.max_turns,
                options=recipe.environment.options,
                concurrency=recipe.rollout.concurrency,
                rules=recipe.rollout.rules,
                monitor=monitor,
                label=name,
                trained=trained,
                on_progress=lambda _, done, total: self._told(name, done, total),
            )
        )
        watch.report(monitor, f"Evaluation, {name}")
        return evaluation

    def _told(self, name: str, done: int, total: int) -> None:
        if done == 1:
            self._progress.stage(f"evaluation, {name}", total)
        self._progress.advance()


def load_evaluation(run: Run, name: str) -> Evaluation | None:
    """Return a kept evaluation, or None where it was not made."""
    path = run.evaluation(name)
    return Evaluation.load(path) if path.is_file() else None
