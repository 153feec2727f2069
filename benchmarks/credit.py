"""Which scores tell helpful memory items from harmful ones.

    python -m benchmarks.credit [--seeds 40]

A made-up world with known lifts. Tasks differ in difficulty; each item is found for tasks of about one difficulty, some
for easy ones and some for hard ones, whether it helps or harms: this is the confounding. In the first world the kind of a
task says nothing of its difficulty, in the second it says nearly all.
A rollout succeeds with the task's base rate plus the lifts of what it is shown. A group is 8 rollouts of one task, with 4
candidates. Scores see rollouts, never lifts. Printed is the area under the curve: the chance that a helpful item stands
above a harmful one. Every scorer reads the log of the lottery; the published ones also that of the same world without
one, where everything found is shown, which is how they are used.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentgym.core.memory import ItemStatus
from agentgym.memory.credit.evidence import Exposure, Rollout
from agentgym.memory.credit.lift import lifts
from agentgym.memory.credit.review import ReviewRules
from agentgym.memory.credit.scorers import SCORERS, LiftScorer, Scorer

EXPOSURES = (50, 100, 200, 400)
"""Mean number of rollouts that had an item as a candidate."""
GOALS = {50: 0.85, 100: 0.92, 200: 0.95}
"""For the lift."""
FAMILIES = 10
ITEMS = 60
"""A third each helpful, harmful, and without effect."""
GROUP = 8
CANDIDATES = 4
REACH = 12
"""Items from whose nearest in difficulty a task's candidates are drawn."""

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What is true."""

    lift_I: Floats
    """Of each item, in probability of success."""
    home_I: Floats
    """The base rate of the tasks that it is found for."""
    told: bool
    """Whether the kind of a task tells how hard it is."""

    @classmethod
    def made(cls, rng: np.random.Generator, *, told: bool) -> World:
        """Return a world; lifts are 0.05 to 0.15 up or down, and have nothing to do with difficulty."""
        sign = np.repeat([1.0, -1.0, 0.0], ITEMS // 3)
        return cls(sign * rng.uniform(0.05, 0.15, ITEMS), rng.uniform(0.15, 0.85, ITEMS), told)

    def rollouts(self, rng: np.random.Generator, groups: int, probability: float) -> Iterator[Rollout]:
        """Yield the rollouts of so many groups; with a probability of 1 nothing is withheld."""
        for group in range(groups):
            base = rng.uniform(0.15, 0.85)
            kind = (base - 0.15) / 0.7 if self.told else rng.random()
            near = np.argsort(np.abs(self.home_I - base))[:REACH]
            found = rng.choice(near, CANDIDATES, replace=False)
            for _ in range(GROUP):
                shown = rng.random(CANDIDATES) < probability
                rate = base + float(self.lift_I[found] @ shown)
                exposures = (
                    Exposure(str(item), probability, bool(was))
                    for item, was in zip(found.tolist(), shown.tolist(), strict=True)
                )
                reward = 1.0 if rng.random() < rate else 0.0
                yield Rollout(str(group), reward, tuple(exposures), str(int(kind * FAMILIES)))


def auc(scores: Mapping[str, float], lift_I: Floats) -> float:
    """Return the chance that a helpful item scores above a harmful one; a tie counts half, no score as 0."""
    score_I = np.array([scores.get(str(item), 0.0) for item in range(len(lift_I))])
    difference = score_I[lift_I > 0][:, None] - score_I[lift_I < 0][None, :]
    above, tied = np.count_nonzero(difference > 0), np.count_nonzero(difference == 0)
    return (above + tied / 2) / difference.size


def groups_for(exposures: int) -> int:
    """Return how many groups give each item so many exposures in the mean."""
    return round(exposures * ITEMS / (GROUP * CANDIDATES))


def curve(scorer: Scorer, world: World, log: Sequence[Rollout]) -> list[float]:
    """Return the area after each number of exposures."""
    return [auc(scorer.scores(log[: groups_for(n) * GROUP]), world.lift_I) for n in EXPOSURES]


def verdicts(world: World, log: Sequence[Rollout]) -> dict[str, list[ItemStatus]]:
    """Return what the review would make of items in shadow, by what they do."""
    rules, found = ReviewRules(), lifts(log)
    status = [rules.verdict(ItemStatus.SHADOW, found[str(item)]) for item in range(ITEMS)]
    kinds = {"helpful": world.lift_I > 0, "harmful": world.lift_I < 0, "without effect": world.lift_I == 0}
    return {name: [status[item] for item in np.flatnonzero(mask)] for name, mask in kinds.items()}


def coverage(world: World, log: Sequence[Rollout]) -> float:
    """Return the share of items whose true lift lies in the interval of the estimate, not shrunk."""
    inside = 0
    for item, lift in lifts(log).items():
        low, high = lift.interval()
        inside += low <= world.lift_I[int(item)] <= high
    return inside / ITEMS


def measure(seeds: int, told: bool) -> None:
    """Play the worlds of one kind and print what is found."""
    found: dict[str, list[list[float]]] = {}
    judged: dict[str, list[ItemStatus]] = {}
    covered: list[float] = []
    for seed in range(seeds):
        world = World.made(np.random.default_rng([seed, 0]), told=told)
        drawn, whole = (
            list(world.rollouts(np.random.default_rng([seed, 1]), groups_for(EXPOSURES[-1]), probability))
            for probability in (0.5, 1.0)
        )
        for scorer in SCORERS:
            found.setdefault(f"{scorer.name}, lottery", []).append(curve(scorer, world, drawn))
            if not isinstance(scorer, LiftScorer):
                found.setdefault(f"{scorer.name}, all shown", []).append(curve(scorer, world, whole))
        early = drawn[: groups_for(200) * GROUP]
        covered.append(coverage(world, early))
        for kind, statuses in verdicts(world, early).items():
            judged.setdefault(kind, []).extend(statuses)
    table(found)
    print(f"  90 % intervals at 200 exposures hold the true lift for {np.mean(covered):.1%} of items")
    for kind, statuses in judged.items():
        shares = {after.value: statuses.count(after) / len(statuses) for after in ItemStatus}
        print(f"  {kind}: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items() if share))


def table(found: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Print the mean areas with their standard errors over worlds."""
    print(" " * 24 + "".join(f"{n:>16}" for n in EXPOSURES))
    for name, curves in found.items():
        mean, error = np.mean(curves, 0), np.std(curves, 0, ddof=1) / np.sqrt(len(curves))
        cells = (f"{m:.3f} ({e:.3f})" for m, e in zip(mean, error, strict=True))
        print(f"  {name:22}" + "".join(f"{cell:>16}" for cell in cells))
    print("  goals for the lift    " + "".join(f"{GOALS.get(n, ''):>16}" for n in EXPOSURES))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=40, help="worlds")
    seeds: int = parser.parse_args().seeds
    for told in (False, True):
        print(f"The kind of a task {'tells' if told else 'does not tell'} how hard it is; {seeds} worlds")
        measure(seeds, told)


if __name__ == "__main__":
    main()
