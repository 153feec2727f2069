"""Triggers: what the wishes of like tasks have in common, with variables for what differs."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentgym.agents.follower.acts import Act
from agentgym.agents.follower.procedure import Template, class_of
from agentgym.evolution.distilling.goals import goals_of
from agentgym.evolution.distilling.lessons import Lesson

_WORD = re.compile(r"[\w@:/-]+(?:[.,]\w+)*")
_LETTERS = "xyzuvw"


@dataclass(frozen=True, slots=True)
class Kind:
    """Tasks that read alike."""

    trigger: Template
    lessons: tuple[Lesson, ...]

    def words(self, lesson: Lesson) -> dict[str, str]:
        """Return what the variables stand for in one of its lessons."""
        values = self.trigger.values(lesson.wish) or ()
        return dict(zip(self.trigger.terms, values, strict=True))


def kinds_of(lessons: Sequence[Lesson], preparing: Collection[tuple[str, ...]]) -> list[Kind]:
    """Return the kinds of tasks of which one was solved, each with all its lessons; the commonest come first.

    The words of a wish that come back in what was done for it are its variables, and everything in it with a digit:
    figures, ids and dates differ from task to task.
    """
    shapes: defaultdict[tuple[str, ...], list[tuple[Lesson, tuple[str, ...]]]] = defaultdict(list)
    for lesson in lessons:
        if lesson.success and (lifted := _lift(lesson, preparing)).terms:
            shapes[lifted.pieces].append((lesson, lifted.terms))
    order = sorted(shapes, key=lambda pieces: (-len(shapes[pieces]), pieces))
    triggers = {pieces: Template(pieces, _names([terms for _, terms in shapes[pieces]])) for pieces in order}
    members: defaultdict[tuple[str, ...], list[Lesson]] = defaultdict(list)
    home = {lesson.episode: pieces for pieces in order for lesson, _ in shapes[pieces]}
    for lesson in lessons:
        pieces = home.get(lesson.episode) or _first_fitting(lesson, triggers)
        if pieces:
            members[pieces].append(lesson)
    return [Kind(triggers[pieces], tuple(members[pieces])) for pieces in order]


def _lift(lesson: Lesson, preparing: Collection[tuple[str, ...]]) -> Template:
    acts = [lesson.acts[goal.place] for goal in goals_of(lesson, preparing)]
    names = _value_names(acts)
    pieces, terms, end = list[str](), list[str](), 0
    for found in _WORD.finditer(lesson.wish):
        word = found.group()
        if word in names or any(c.isdigit() for c in word):
            pieces.append(lesson.wish[end : found.start()])
            terms.append(names.get(word, ""))
            end = found.end()
    return Template((*pieces, lesson.wish[end:]), tuple(terms))


def _value_names(acts: Iterable[Act]) -> Mapping[str, str]:
    """Return what each value, and each thing's kind, is called: the argument's name where it has one."""
    names: dict[str, str] = {}
    for act in acts:
        for place, value in enumerate(act.values):
            if value.strip():
                names.setdefault(class_of(value), act.names[place] if act.names else "")
    return names


def _names(written: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return one name for each variable: the one that most lessons have for it, made unique."""
    chosen: list[str] = []
    for place in range(len(written[0])):
        votes = Counter(terms[place] for terms in written)
        named = [each for each in votes if each]
        name = min(named, key=lambda each: (-votes[each], each), default=_LETTERS[place % len(_LETTERS)])
        taken = sum(other == name or other.startswith(f"{name} ") for other in chosen)
        chosen.append(f"{name} {taken + 1}" if taken else name)
    return tuple(chosen)


def _first_fitting(lesson: Lesson, triggers: Mapping[tuple[str, ...], Template]) -> tuple[str, ...] | None:
    value = f"({_WORD.pattern})"
    return next((pieces for pieces, trigger in triggers.items() if trigger.values(lesson.wish, value)), None)
