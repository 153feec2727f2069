"""Trying a procedure on what is known: of the episodes that happened to do what it says, how many succeeded?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agentgym.agents.follower.knowledge import Knowledge
from agentgym.agents.follower.procedure import Step, Template
from agentgym.evolution.distilling.lessons import Lesson
from agentgym.evolution.distilling.triggers import Kind


class Record(NamedTuple):
    """Episodes that did what a procedure says, and how many of them succeeded."""

    followed: int
    succeeded: int

    @property
    def rate(self) -> float:
        """The share that succeeded, from a prior of one success and one failure."""
        return (self.succeeded + 1) / (self.followed + 2)


def try_out(kind: Kind, steps: Sequence[Step]) -> Record:
    """Return how the kind's episodes fared that took the steps, in order, whatever else they did in between."""
    taken = [lesson.success for lesson in kind.lessons if _took(lesson, kind.words(lesson), steps)]
    return Record(len(taken), sum(taken))


def overall(kind: Kind) -> Record:
    """Return how all the kind's episodes fared."""
    return Record(len(kind.lessons), sum(lesson.success for lesson in kind.lessons))


def _took(lesson: Lesson, words: Mapping[str, str], steps: Sequence[Step]) -> bool:
    knows = Knowledge()
    knows.bind(dict(words))
    left = list(steps)
    for act, told in zip(lesson.acts, lesson.told, strict=True):
        while left and not knows.holds(left[0].condition):
            left.pop(0)
        text = Template(act.pieces, act.values).fill(act.values)
        if left and knows.matching(left[0].action, [text]):
            knows.settle(left.pop(0).action, text)
        knows.fields.update(told)
    while left and not knows.holds(left[0].condition):
        left.pop(0)
    return not left
