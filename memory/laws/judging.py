"""How good laws are on changes that they were not learned from: ranking of next states, fidelity, likelihood (OneLife)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from agentgym.core.facts import Facts
from agentgym.memory.laws.book import LawBook
from agentgym.memory.laws.watching import Change

Score: TypeAlias = Callable[[Change], float]
"""How likely a next state is; only the order counts."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the true next state is ranked among distractors."""

    first: float
    """The share of changes for which it is strictly the likeliest."""
    mrr: float
    """Mean of 1 / rank; a tie counts half a place."""
    chance: float
    """The MRR of a random order."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """How the predicted next state compares with the true one."""

    exact: float
    """The share of changes predicted in every fact."""
    distance: float
    """Mean number of facts that differ: an edit distance of sets."""
    log_likelihood: float
    """Mean of log p(after | before, action), in nats."""


def ranking(score: Score, changes: Sequence[Change], *, distractors: int = 9, seed: int = 0) -> Ranking:
    """Rank the true next state of every change among `distractors` others that are nearly right; see `distract`."""
    ranks: list[float] = []
    sizes: list[int] = []
    for number, change in enumerate(changes):
        others = distract(change, changes, distractors, random.Random(f"{seed} {number}"))
        true = score(change)
        scores = [score(change._replace(after=other)) for other in others]
        above, tied = sum(each > true for each in scores), sum(each == true for each in scores)
        ranks.append(1 + above + tied / 2)
        sizes.append(len(others) + 1)
    if not ranks:
        return Ranking(0.0, 0.0, 0.0)
    chance = [float(np.mean(1 / np.arange(1, size + 1))) for size in sizes]
    return Ranking(
        sum(rank == 1 for rank in ranks) / len(ranks),
        float(np.mean([1 / rank for rank in ranks])),
        float(np.mean(chance)),
    )


def distract(change: Change, changes: Sequence[Change], count: int, rng: random.Random) -> list[Facts]:
    """Return `count` wrong next states, as far as there are so many: the state as it was, the true one with a part of
    the change left out or with other things in it, and the state after what other actions do."""
    before, after = change.before, change.after
    found: dict[Facts, None] = {}
    if before != after:
        found[before] = None
    for fact in sorted(before ^ after):
        found[after ^ {fact}] = None
    things = sorted({part for fact in before for part in fact[1:]})
    for fact in sorted(after - before):
        for place in range(1, len(fact)):
            other = (*fact[:place], rng.choice(things), *fact[place + 1 :])
            found[after - {fact} | {other}] = None
    for _ in range(4 * count):
        other_change = changes[rng.randrange(len(changes))]
        gone, come = other_change.before - other_change.after, other_change.after - other_change.before
        found[before - gone | come] = None
    found.pop(after, None)
    wrong = list(found)
    rng.shuffle(wrong)
    return wrong[:count]


def prediction(book: LawBook, changes: Sequence[Change]) -> Prediction:
    """Compare the likeliest next state with the true one."""
    if not changes:
        return Prediction(0.0, 0.0, 0.0)
    distances = [len(book.predict(change.before, change.action) ^ change.after) for change in changes]
    likelihood = [book.log_likelihood(change) for change in changes]
    return Prediction(
        sum(not distance for distance in distances) / len(changes),
        float(np.mean(distances)),
        float(np.mean(likelihood)),
    )


def gains(book: LawBook, changes: Sequence[Change]) -> dict[str, float]:
    """Return, by its title and effect (`Law.__str__`), what each law adds to the log-likelihood of changes, in nats.

    The sum over the changes, against the same laws without it: what the law is worth, and the only kind of memory whose
    worth is known exactly.
    """
    whole = [book.log_likelihood(change) for change in changes]
    found: dict[str, float] = {}
    for law in book.laws:
        others = LawBook(tuple(each for each in book.laws if each != law), book.inertia, book.inertia_weight)
        found[str(law)] = sum(
            each - others.log_likelihood(change) for each, change in zip(whole, changes, strict=True)
        )
    return found
