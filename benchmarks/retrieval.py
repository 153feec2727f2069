"""How well and how fast memory items are found.

    python -m benchmarks.retrieval [--items 100000 1000000]

Quality: cases named by the instructions of train tasks, looked for with the instructions of select tasks, in four worlds.
Found is a case of the same goal (household), template (phone), wish (back office) or kind of product (webshop). Speed: texts of ten words drawn
by Zipf's law from a made-up vocabulary of 50,000, some of them with a word misspelled in the query; the time of a
search with filters, over as many items as told.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import agentgym
from agentgym.core.memory import ItemKind, ItemStatus
from agentgym.core.task import Split, Task
from agentgym.environments.household.errands import goal_of, instruction, pair
from agentgym.environments.household.tasks import HouseholdSuite
from agentgym.environments.webshop.catalogue import product
from agentgym.memory.retrieval.fusion import top
from agentgym.memory.retrieval.library import Library, Query
from agentgym.memory.store.entries import Entry

QUERIES = 100
"""Timed at each size."""
WORDS = 50_000
LENGTH = 10
MARK = "#"
CASES = 600
"""And as many queries at most, in each world but the household."""


class Recall(NamedTuple):
    """Shares of the queries that have a right item in the first place, and among the first five."""

    at_1: float
    at_5: float


class Collection(NamedTuple):
    """Cases of a world, each with what it is about, and queries with what they mean."""

    world: str
    cases: list[tuple[str, str]]
    queries: list[tuple[str, str]]

    def library(self) -> Library:
        """Return the cases as items, each of an identity of its own that says what it is about."""
        entries = [
            Entry(
                f"{number:04d}",
                f"{about}{MARK}{number}",
                ItemKind.CASE,
                "",
                "case",
                "",
                text,
                ItemStatus.ACTIVE,
            )
            for number, (text, about) in enumerate(self.cases)
        ]
        return Library(entries)


def goal(task: Task) -> str:
    asked = goal_of(task.params)
    return " ".join([asked.task_type.value, *pair(asked)])


def household() -> Collection:
    """Found is the same kind of task, thing and place; one case of each."""
    suite = HouseholdSuite()

    def wording(task: Task) -> str:
        return instruction(goal_of(task.params), random.Random(task.id))

    cases = {goal(task): wording(task) for task in reversed(suite.tasks(Split.TRAIN)[:3000])}
    queries = [(wording(task), goal(task)) for task in suite.tasks(Split.SELECT)[:600]]
    known = [(text, meant) for text, meant in queries if meant in cases]
    return Collection("household", [(text, about) for about, text in sorted(cases.items())], known)


def elsewhere(world: str, about: Callable[[Task], str], **options: Any) -> Collection:
    """Cases are the instructions of train tasks, queries those of select tasks; found is one about the same."""

    def told(split: Split, count: int) -> list[tuple[str, str]]:
        env = agentgym.make(world, split=split, **options)
        tasks = env.suite.tasks(split)[:count]
        pairs = [(str(env.reset(options={"task": task})[1]["instruction"]), about(task)) for task in tasks]
        env.close()
        return pairs

    cases = told(Split.TRAIN, CASES)
    known = {meant for _, meant in cases}
    return Collection(world, cases, [pair for pair in told(Split.SELECT, CASES) if pair[1] in known])


def collections() -> Iterator[Collection]:
    yield household()
    yield elsewhere("phone", lambda task: str(task.params["task_type"]))
    yield elsewhere("backoffice", lambda task: str(task.params["needs"][0][0]), difficulty="easy")
    yield elsewhere("webshop", lambda task: product(int(task.params["product"])).kind.name)


def recalls(library: Library, queries: Sequence[tuple[str, str]]) -> dict[str, Recall]:
    """Return the recall of each ranker, and of their fusion."""

    def of(find: Callable[[str], list[Entry]]) -> Recall:
        found = [([entry.identity.split(MARK)[0] for entry in find(text)], meant) for text, meant in queries]
        return Recall(*(sum(meant in names[:k] for names, meant in found) / len(found) for k in (1, 5)))

    found = {
        ranker.name: of(lambda text, ranker=ranker: [library.entries[n] for n in top(ranker.scores(text), 5)])
        for ranker in library.rankers
    }
    return {**found, "fused": of(lambda text: [hit.entry for hit in library.search(Query(text, k=5))])}


def made_up(count: int) -> tuple[list[Entry], list[str]]:
    """Return entries and queries for a measurement of time."""
    numbers = np.random.default_rng(0)
    rng = random.Random(0)
    words = [
        "".join(rng.choice("abcdefghijklmnoprstuvwy") for _ in range(rng.randint(3, 10)))
        for _ in range(WORDS)
    ]
    chances = 1 / np.arange(10, WORDS + 10)
    drawn = numbers.choice(WORDS, size=(count, LENGTH), p=chances / chances.sum())
    texts = [" ".join(words[int(number)] for number in row) for row in drawn]
    kinds, spaces = list(ItemKind), ["", "team", "team/a", "other"]
    entries = [
        Entry(f"{n:08x}", f"{n:08x}", kinds[n % 6], spaces[n % 4], "item", "", text, ItemStatus.ACTIVE)
        for n, text in enumerate(texts)
    ]
    chosen = [rng.choice(texts).split() for _ in range(QUERIES)]
    return entries, [" ".join([*parts[:6], parts[6][:-1] + "z"]) for parts in chosen]


def milliseconds(library: Library, queries: Sequence[str]) -> list[float]:
    times: list[float] = []
    for text in queries:
        began = time.perf_counter()
        library.search(Query(text, space="team/a"))
        times.append(1000 * (time.perf_counter() - began))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 1_000_000])
    sizes: list[int] = parser.parse_args().items
    for each in collections():
        print(f"{each.world}: {len(each.cases)} cases, {len(each.queries)} queries")
        for name, recall in recalls(each.library(), each.queries).items():
            print(f"  {name:8} recall@1 {recall.at_1:.3f}  recall@5 {recall.at_5:.3f}")
    for size in sizes:
        entries, texts = made_up(size)
        began = time.perf_counter()
        library = Library(entries)
        built = time.perf_counter() - began
        library.search(Query("warm up"))
        times = milliseconds(library, texts)
        print(
            f"{size} items: built in {built:.0f} s; a search takes {statistics.median(times):.1f} ms in the median, "
            f"{np.quantile(times, 0.95):.1f} ms at the 95th percentile"
        )


if __name__ == "__main__":
    main()
