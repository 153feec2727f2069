"""Sub-goals: which of a success's actions get something done, and which only make the next one possible."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from agentgym.agents.follower.acts import Act
from agentgym.agents.follower.procedure import ANY
from agentgym.evolution.distilling.lessons import Lesson

LEAST_SHARE = 0.05
"""Of the sub-goals of a form: rarer preparations are left out."""


class Goal(NamedTuple):
    """A sub-goal: its place among the lesson's acts, and those of what made it possible, in order."""

    place: int
    before: tuple[int, ...]


Preparation: TypeAlias = tuple[tuple[str, ...], tuple[int, ...]]
"""The pieces of an action that makes another possible, and for each of its values the place among the other's values
that it shares; -1: none."""
Preparations: TypeAlias = Mapping[tuple[str, ...], Sequence[Preparation]]
"""By the pieces of the action that they make possible, in the order in which they are needed."""


def preparing(lessons: Iterable[Lesson]) -> frozenset[tuple[str, ...]]:
    """Return the pieces of the actions that more often than not only prepare another one."""
    balance: Counter[tuple[str, ...]] = Counter()
    for lesson in lessons:
        targets = _targets(lesson, None)
        for place in lesson.needed:
            balance[lesson.acts[place].pieces] += 1 if place in targets else -1
    return frozenset(pieces for pieces, more in balance.items() if more > 0)


def goals_of(lesson: Lesson, preparing: Collection[tuple[str, ...]]) -> list[Goal]:
    """Return the sub-goals of a success in order; actions that are not `preparing` are never left out of them.

    An action is no sub-goal but a preparation of one where leaving it out makes a later one impossible, and its things
    are all things of that one, or things that nothing else is done with.
    """
    target = _targets(lesson, preparing)
    return [
        Goal(place, tuple(each for each in lesson.needed if target.get(each) == place))
        for place in lesson.needed
        if place not in target
    ]


def _targets(lesson: Lesson, preparing: Collection[tuple[str, ...]] | None) -> dict[int, int]:
    """Return the places of preparations, with that of the sub-goal that each of them is for."""
    target: dict[int, int] = {}
    for place in reversed(lesson.needed):
        made, act = lesson.enables.get(place), lesson.acts[place]
        if made is None or act.is_call or (preparing is not None and act.pieces not in preparing):
            continue
        goal = target.get(made, made)
        own = set(lesson.acts[place].values)
        others = [
            set(lesson.acts[other].values)
            for other in lesson.needed
            if other != place and target.get(other) != goal
        ]
        if own <= set(lesson.acts[goal].values) or not any(own & other for other in others):
            target[place] = goal
    return target


def preparations(lessons: Sequence[Lesson], preparing: Collection[tuple[str, ...]]) -> Preparations:
    """Return what was found to make actions possible, over all successes: what fails without it, and what mends it."""
    seen: defaultdict[tuple[str, ...], int] = defaultdict(int)
    found: defaultdict[tuple[str, ...], Counter[Preparation]] = defaultdict(Counter)
    distance: Counter[tuple[tuple[str, ...], Preparation]] = Counter()
    for lesson in lessons:
        for goal in goals_of(lesson, preparing):
            act = lesson.acts[goal.place]
            seen[act.pieces] += 1
            first = {_shared(lesson.acts[place], act): n for n, place in enumerate(reversed(goal.before))}
            for preparation, away in first.items():
                found[act.pieces][preparation] += 1
                distance[act.pieces, preparation] += away
    return {
        pieces: sorted(
            (each for each, count in own.items() if count >= LEAST_SHARE * seen[pieces]),
            key=lambda each: (-distance[pieces, each] / own[each], each),
        )
        for pieces, own in found.items()
    }


def written(preparation: Preparation, terms: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return pieces and terms of a preparation of an action that has `terms`."""
    pieces, shared = preparation
    return pieces, tuple(terms[place] if place >= 0 else f"{ANY}thing" for place in shared)


def _shared(act: Act, goal: Act) -> Preparation:
    places = tuple(goal.values.index(value) if value in goal.values else -1 for value in act.values)
    return act.pieces, places
