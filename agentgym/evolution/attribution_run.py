"""`AttributionRun`: the directory of an attribution, in which it can be gone on with.

asked.json             which run and which tasks
cells/NAME/            an evaluation for each combination: `agentgym compare` takes any two of them
attribution.json       what came of it, once it has ended
attribution.png        the same as a picture
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Self, TypeAlias

from pydantic import ValidationError

from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.memory import ItemKind
from agentgym.core.task import Split
from agentgym.evaluation.contamination import ContaminationError
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.results import Record
from agentgym.evaluation.runner import OnProgress, choose_tasks, evaluate
from agentgym.evaluation.runs import Arguments, EvaluationRun, is_evaluation_run
from agentgym.evolution.attribution import (
    Attribution,
    Combination,
    Component,
    attributed,
    every_combination,
    named,
)
from agentgym.memory.store.lineage import resting_on
from agentgym.memory.store.store import MemoryStore
from agentgym.policies.local import LocalPolicy
from agentgym.training.assembly import make_agent, make_env, make_policy, open_model
from agentgym.training.checkpoint import Checkpoint, latest_checkpoint
from agentgym.training.lineage import learned_from
from agentgym.training.remembering.library import saved_state
from agentgym.training.remembering.saved import saved_memory
from agentgym.training.run import Run, installed_versions

KINDS: Mapping[Component, frozenset[ItemKind]] = {
    Component.MEMORY: frozenset(ItemKind) - {ItemKind.SKILL, ItemKind.TOOL},
    Component.SKILLS: frozenset({ItemKind.SKILL}),
    Component.TOOLS: frozenset({ItemKind.TOOL}),
}
Told: TypeAlias = Callable[[Combination], OnProgress]
"""Returns what is told each episode of a combination."""


class Asked(Record):
    """What an attribution was asked for."""

    run: str
    """The run's directory."""
    iteration: int
    """Of its last checkpoint when it was begun."""
    tasks: int | None = None
    """Most tasks of each part of the held-out split; null: all."""
    samples: int = 1
    seed: int = 0
    temperature: float = 0.0


class AttributionRun:
    """The files of one attribution, and how they come about."""

    def __init__(self, path: Path) -> None:
        """Open one that is there; raises `UnknownNameError` and `UsageError`."""
        if not (path / "asked.json").is_file():
            known = sorted(each.parent.name for each in path.parent.glob("*/asked.json"))
            raise UnknownNameError("attribution", path.name, known)
        self.path = path
        try:
            self.asked = Asked.model_validate_json((path / "asked.json").read_text("utf-8"))
        except ValidationError as error:
            raise UsageError(f"{path} is no attribution of this version of agentgym.") from error
        self.trained = Run.open(self.asked.run)
        self._checkpoint = latest_checkpoint(self.trained.checkpoints)
        if self._checkpoint.iteration != self.asked.iteration:
            raise UsageError(
                f"{self.trained.path} has gone on from iteration {self.asked.iteration} to "
                f"{self._checkpoint.iteration} since {path} was begun; begin another attribution."
            )

    @classmethod
    def create(
        cls,
        run: Run,
        root: Path,
        name: str | None = None,
        *,
        tasks: int | None = None,
        samples: int = 1,
        seed: int = 0,
        temperature: float = 0.0,
    ) -> Self:
        """Make a new directory under `root`, named by run and time unless `name` is given.

        Raises `UsageError` where it exists and for a run that has none of the components, `ContaminationError` where an
        item of its memory rests on a task that it is to be evaluated on.
        """
        checkpoint = latest_checkpoint(run.checkpoints)
        _present(run, checkpoint)
        _must_be_clean(run, checkpoint, tasks)
        path = root / (name or f"attribute-{run.name}-{datetime.now():%Y%m%d-%H%M%S}")
        asked = Asked(
            run=str(run.path.resolve()),
            iteration=checkpoint.iteration,
            tasks=tasks,
            samples=samples,
            seed=seed,
            temperature=temperature,
        )
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise UsageError(
                f"{path} exists already; choose another name, or go on with `agentgym attribute --resume {path}`."
            ) from None
        (path / "asked.json").write_text(asked.model_dump_json(indent=1) + "\n", "utf-8")
        return cls(path)

    def play(self, told: Told | None = None, concurrency: int = 64) -> Attribution:
        """Play what is left and return what came of all.

        Raises `ContaminationError` where the policy has learned from a task that it is to be evaluated on.
        """
        present, lacking = _present(self.trained, self._checkpoint)
        trained = learned_from(self.trained)
        policies: dict[bool, LocalPolicy] = {}
        evaluations: dict[Combination, Evaluation] = {}
        for on in every_combination(present):
            cell = self._cell(on)
            if cell.file.is_file() and not (kept := Evaluation.load(cell.file)).missing:
                evaluations[on] = kept
                continue
            learned = Component.WEIGHTS in on or Component.WEIGHTS in lacking
            if learned not in policies:
                policies[learned] = self._policy(learned)
            evaluations[on] = self._evaluate(cell, on, policies[learned], trained, told, concurrency)
        cells, effects, lost = attributed(evaluations, present)
        found = Attribution(
            run=self.trained.name,
            env_id=self.trained.recipe.environment.id,
            iteration=self.asked.iteration,
            snapshot=_snapshot(self.trained, self._checkpoint),
            lacking=lacking,
            cells=cells,
            effects=effects,
            tasks=cells[0].rate.tasks,
            lost=lost,
        )
        found.save(self.path / "attribution.json")
        return found

    def _evaluate(
        self,
        cell: EvaluationRun,
        on: Combination,
        policy: LocalPolicy,
        trained: frozenset[str],
        told: Told | None,
        concurrency: int,
    ) -> Evaluation:
        recipe, asked = self.trained.recipe, self.asked
        kinds = frozenset[ItemKind]().union(*(KINDS[part] for part in on if part in KINDS))
        memory = saved_memory(self.trained, kinds) if kinds else None
        with cell.playing() as keeper:
            evaluation = asyncio.run(
                evaluate(
                    recipe.environment.id,
                    make_agent(recipe, policy, asked.temperature, named(on), memory=memory),
                    Split.HELDOUT,
                    tasks=asked.tasks,
                    samples=asked.samples,
                    seed=asked.seed,
                    max_turns=recipe.environment.max_turns,
                    options=recipe.environment.options,
                    trained=trained,
                    concurrency=concurrency,
                    rules=recipe.rollout.rules,
                    keeper=keeper,
                    on_progress=told(on) if told is not None else None,
                )
            )
        cell.keep(evaluation)
        return evaluation

    def _cell(self, on: Combination) -> EvaluationRun:
        """Return the evaluation of a combination, begun if it is not there yet."""
        path = self.path / "cells" / named(on)
        if is_evaluation_run(path):
            return EvaluationRun(path)
        asked, recipe = self.asked, self.trained.recipe
        arguments = Arguments(
            env_id=recipe.environment.id,
            split=Split.HELDOUT,
            policy=f"{self.trained.name} with {named(on)}",
            temperature=asked.temperature,
            tasks=asked.tasks,
            samples=asked.samples,
            seed=asked.seed,
            max_turns=recipe.environment.max_turns,
        )
        return EvaluationRun.create(arguments, path.parent, path.name, versions=installed_versions())

    def _policy(self, learned: bool) -> LocalPolicy:
        recipe, folder = self.trained.recipe, self._checkpoint.path if learned else self.trained.warm_start
        policy = make_policy(recipe, open_model(recipe, str(folder)))
        policy.set_version(self._checkpoint.iteration if learned else 0)
        return policy


def _must_be_clean(run: Run, checkpoint: Checkpoint, limit: int | None) -> None:
    """Raise `ContaminationError` where an item that could be shown rests on a task that is to be evaluated."""
    snapshot = _snapshot(run, checkpoint)
    if not snapshot:
        return
    with closing(make_env(run.recipe, Split.HELDOUT)) as env:
        tasks = {task.key: task for task in choose_tasks(env.suite.tasks(Split.HELDOUT), limit)}
    with MemoryStore(run.library, create=False) as store:
        resting, members = resting_on(store, set(tasks)), set(store.snapshot(snapshot))
        for version in sorted(members & set(resting)):
            item, task = store.get(version), tasks[resting[version]]
            raise ContaminationError(
                f"The {item.kind} {item.name!r} ({version[:8]}) of the memory of {run.path} rests on the held-out task "
                f"{task.id!r}, so nothing can be told of unseen tasks. Put it into quarantine and train again without "
                "it, or evaluate fewer tasks."
            )


def _present(run: Run, checkpoint: Checkpoint) -> tuple[list[Component], dict[Component, str]]:
    """Return the components that a run has, and those that it has not; raises `UsageError` where it has none."""
    lacking = _lacking(run, checkpoint)
    present = [component for component in Component if component not in lacking]
    if not present:
        reasons = "; ".join(dict.fromkeys(lacking.values()))
        raise UsageError(f"There is nothing that {run.path} could owe its success to: {reasons}.")
    return present, lacking


def _lacking(run: Run, checkpoint: Checkpoint) -> dict[Component, str]:
    """Return the components that a run does not have, and why not."""
    found: dict[Component, str] = {}
    if checkpoint.iteration == 0:
        found[Component.WEIGHTS] = "no iteration of reinforcement is finished"
    section, snapshot = run.recipe.memory, _snapshot(run, checkpoint)
    kinds: set[ItemKind] = set()
    if section is not None and snapshot:
        with MemoryStore(run.library, create=False) as store:
            members = set(store.snapshot(snapshot))
            kinds = {entry.kind for entry in store.entries(section.kinds) if entry.version in members}
    for component, wanted in KINDS.items():
        if not kinds & wanted:
            names = ", ".join(f"{kind}s" for kind in ItemKind if kind in wanted)
            found[component] = f"its memory shows no {names}" if section else "its recipe has no `memory`"
    return found


def _snapshot(run: Run, checkpoint: Checkpoint) -> str:
    return "" if run.recipe.memory is None else str(saved_state(checkpoint.path)["snapshot"])
