"""The search: from parent to child on train tasks, and the best few on `select` (Meta-TTL on GEPA's selection).

A parent is drawn by the number of train tasks on which nobody does better than it (GEPA's Pareto weights). Its child
differs in its prompt or in its memory policy, and is kept where it beats the parent on a few train tasks drawn for the
step. In the end those that did best on all train tasks, and the one that the search began with, live through the `select`
tasks; the best there is the result. No held-out task is ever looked at.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pydantic import Field

from agentgym.core.errors import InferenceFault
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.evaluation.results import Record
from agentgym.evaluation.statistics import Interval, mean_interval
from agentgym.evolution.adaptation.genome import Adaptation
from agentgym.evolution.adaptation.ledger import Ledger
from agentgym.evolution.adaptation.lifetimes import Lifetimes, fitness
from agentgym.evolution.adaptation.varying import Lifetime, Rewriter, vary_memory
from agentgym.rollout.collect import derive_seed


class Candidate(Record):
    """An adaptation and how it did."""

    adaptation: Adaptation
    train: float
    """Mean fitness over the train tasks."""
    select: float | None = None
    """Mean fitness over the `select` tasks; null: it was no finalist."""


class Found(Record):
    """What a search came to."""

    best: Candidate
    start: Candidate
    gain: float
    """Of the best over the start, in fitness on the `select` tasks that it was chosen by: as such it is hopeful."""
    low: float
    high: float
    """The 95 % interval of the gain over tasks, as if it had not been chosen."""
    select_tasks: int
    steps: int
    kept: int
    """Children that beat their parent."""
    candidates: tuple[Candidate, ...] = Field(repr=False)
    """All that were kept, and the start; the best on train first."""


class Search:
    """Searches for an adaptation. The same seed, tasks and agents: the same search; what the ledger has is not done again."""

    def __init__(
        self,
        lifetimes: Lifetimes,
        rewriter: Rewriter,
        ledger: Ledger,
        train: Sequence[Task],
        select: Sequence[Task],
        *,
        steps: int,
        minibatch: int = 6,
        finalists: int = 3,
        seed: int = 0,
        on_step: Callable[[int, Candidate], None] = lambda step, best: None,
    ) -> None:
        self._lifetimes = lifetimes
        self._rewriter = rewriter
        self._ledger = ledger
        self._train = list(train)
        self._select = list(select)
        self._steps = steps
        self._minibatch = min(minibatch, len(self._train))
        self._finalists = finalists
        self._seed = seed
        self._on_step = on_step
        self._episodes: dict[tuple[str, str], Sequence[Episode]] = {}
        """Of the train lifetimes that were played in this process, by adaptation and task."""

    async def find(self, start: Adaptation) -> Found:
        """Carry the search out. Raises `InferenceFault` where nothing of an adaptation could be scored."""
        population = [start]
        scores = {start.key: await self._scores(start, self._train)}
        tried = {start.key}
        for step in range(self._steps):
            rng = random.Random(derive_seed(self._seed, "step", step))
            parent = self._parent(population, scores, rng)
            batch = rng.sample(self._train, self._minibatch)
            child = await self._child(step, parent, batch, rng)
            if child is not None and child.key not in tried:
                tried.add(child.key)
                if await self._beats(child, parent, batch):
                    population.append(child)
                    scores[child.key] = await self._scores(child, self._train)
            self._on_step(step, _ranked(population, scores)[0])
        return await self._selected(start, _ranked(population, scores), len(population) - 1)

    async def _child(
        self, step: int, parent: Adaptation, batch: Sequence[Task], rng: random.Random
    ) -> Adaptation | None:
        """Return the step's variation of a parent; None where none came to mind."""
        known = self._ledger.child(step)
        if known is not None:
            return known[0]
        if rng.random() < 0.5:
            child: Adaptation | None = vary_memory(parent, rng)
        else:
            lived = await self._lived(parent, batch)
            prompt = await self._rewriter.rewrite(parent.prompt, lived, rng)
            child = None if prompt is None else parent.model_copy(update={"prompt": prompt})
        self._ledger.add_child(step, child)
        return child

    async def _lived(self, adaptation: Adaptation, tasks: Sequence[Task]) -> list[Lifetime]:
        """Return lifetimes with their episodes, which are played again where an earlier process played them."""
        missing = [task for task in tasks if (adaptation.key, task.key) not in self._episodes]
        for task, episodes in zip(missing, await self._lifetimes.live(adaptation, missing), strict=True):
            if episodes is not None:
                self._episodes[adaptation.key, task.key] = episodes
        found = [self._episodes.get((adaptation.key, task.key)) for task in tasks]
        return [Lifetime(each, fitness([one.success for one in each])) for each in found if each is not None]

    async def _beats(self, child: Adaptation, parent: Adaptation, batch: Sequence[Task]) -> bool:
        """Whether the child's fitness on the tasks that both lived through is strictly more."""
        own, other = [await self._scores(each, batch) for each in (child, parent)]
        both = own.keys() & other.keys()
        return sum(own[key] for key in both) > sum(other[key] for key in both)

    async def _scores(self, adaptation: Adaptation, tasks: Sequence[Task]) -> dict[str, float]:
        """Return the fitness by task, without those that a fault of the infrastructure took."""
        missing = [task for task in tasks if self._ledger.lifetime(adaptation, task) is None]
        lived: list[tuple[Task, list[bool]]] = []
        for task, episodes in zip(missing, await self._lifetimes.live(adaptation, missing), strict=True):
            if episodes is None:
                continue
            lived.append((task, [episode.success for episode in episodes]))
            if task.split is Split.TRAIN:
                self._episodes[adaptation.key, task.key] = episodes
        if lived:
            self._ledger.add_lifetimes(adaptation, lived)
        known = {task.key: self._ledger.lifetime(adaptation, task) for task in tasks}
        found = {key: fitness(solved) for key, solved in known.items() if solved is not None}
        if not found:
            raise InferenceFault(
                f"No attempt at any of the {len(tasks)} tasks could be scored, so nothing is known of the adaptation "
                f"({adaptation}). What was played is kept; mend that and go on with --resume."
            )
        return found

    def _parent(
        self, population: Sequence[Adaptation], scores: Mapping[str, Mapping[str, float]], rng: random.Random
    ) -> Adaptation:
        weights = pareto_weights([scores[each.key] for each in population])
        return rng.choices(population, weights)[0]

    async def _selected(self, start: Adaptation, ranked: Sequence[Candidate], kept: int) -> Found:
        finalists = [each for each in ranked if each.adaptation != start][: self._finalists]
        begun = next(each for each in ranked if each.adaptation == start)
        selected: list[tuple[Candidate, dict[str, float]]] = []
        for each in (begun, *finalists):
            own = await self._scores(each.adaptation, self._select)
            selected.append((each.model_copy(update={"select": float(np.mean(list(own.values())))}), own))
        best, of_best = max(
            selected, key=lambda each: each[0].select or 0.0
        )  # of equals the earlier: the start first
        first, of_first = selected[0]
        both = sorted(of_best.keys() & of_first.keys())
        differences = [of_best[key] - of_first[key] for key in both] or [0.0]
        low, high = mean_interval(differences, Interval(-1.0, 1.0))
        done = {each.adaptation.key: each for each, _ in selected}
        return Found(
            best=best,
            start=first,
            gain=float(np.mean(differences)),
            low=low,
            high=high,
            select_tasks=len(both),
            steps=self._steps,
            kept=kept,
            candidates=tuple(done.get(each.adaptation.key, each) for each in ranked),
        )


def pareto_weights(scores: Sequence[Mapping[str, float]]) -> list[int]:
    """Return, for each candidate, on how many tasks nobody does better; those whose tasks another has too get 0.

    GEPA's w(p) = |{v : p in Pareto_v}| without dominated candidates; among equals the earlier one dominates.

    >>> pareto_weights([{"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 0.0}])
    [1, 1, 0]
    """
    tasks = sorted({task for own in scores for task in own})
    best = {task: max(own.get(task, -1.0) for own in scores) for task in tasks}
    wins = [{task for task in tasks if own.get(task) == best[task]} for own in scores]
    dominated = [
        any(wins[n] < other or (wins[n] == other and m < n) for m, other in enumerate(wins))
        for n in range(len(wins))
    ]
    return [0 if lost else len(own) for own, lost in zip(wins, dominated, strict=True)]


def _ranked(population: Sequence[Adaptation], scores: Mapping[str, Mapping[str, float]]) -> list[Candidate]:
    """Return candidates by their mean on train, the best first; of equals the earlier."""
    found = [
        Candidate(adaptation=each, train=float(np.mean(list(scores[each.key].values()))))
        for each in population
    ]
    return sorted(found, key=lambda each: -each.train)
