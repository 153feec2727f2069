"""Ways: how tasks of a kind were solved, and on what it depends which way solves one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from agentgym.agents.follower.procedure import Condition, Procedure, Step, Template
from agentgym.evolution.distilling.goals import Preparations, goals_of, preparations, preparing, written
from agentgym.evolution.distilling.lessons import Lesson
from agentgym.evolution.distilling.terms import Context, Kinds, kinds_seen, template_of
from agentgym.evolution.distilling.trial import overall, try_out
from agentgym.evolution.distilling.triggers import Kind, kinds_of

LEAST_ON_A_SIDE = 3
"""Lessons on each side of a condition: fewer are told apart by chance."""
LEAST_GAIN = 0.1
"""Share of the failures of a kind that has to be missing where a procedure was followed."""

Form: TypeAlias = tuple[tuple[str, ...], ...]
"""The pieces of a way's sub-goals."""


class Written(NamedTuple):
    """A procedure and the lessons that it was made from."""

    procedure: Procedure
    lessons: tuple[Lesson, ...]

    @property
    def tasks(self) -> int:
        """How many tasks speak for it."""
        return len({lesson.task_key for lesson in self.lessons})


@dataclass(frozen=True, slots=True)
class Way:
    """The lessons of a kind that reached the same sub-goals."""

    form: Form
    lessons: tuple[Lesson, ...]


class _Fact(NamedTuple):
    """What tells two ways apart, and the call that finds it out."""

    condition: Condition
    look: Template


class Findings:
    """What all lessons together show: which actions only prepare others, and with what things they are done."""

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        solved = [lesson for lesson in lessons if lesson.success]
        self.preparing = preparing(solved)
        self.preparations: Preparations = preparations(solved, self.preparing)
        self.kinds: Kinds = kinds_seen(solved)
        self.tasks = kinds_of(lessons, self.preparing)
        self._support = Counter(form for form, _ in {(self.form(each), each.task_key) for each in solved})

    def form(self, lesson: Lesson) -> Form:
        """Return the sub-goals of a success."""
        return tuple(lesson.acts[goal.place].pieces for goal in goals_of(lesson, self.preparing))

    def ways(self, kind: Kind, least: int) -> list[Way]:
        """Return the ways in which tasks of a kind were solved, the commonest first.

        A way counts where it solved at least `least` tasks, of whatever kind.
        """
        by_form: defaultdict[Form, list[Lesson]] = defaultdict(list)
        for lesson in kind.lessons:
            if lesson.success and (form := self.form(lesson)) and self._support[form] >= least:
                by_form[form].append(lesson)
        ways = [Way(form, tuple(own)) for form, own in by_form.items()]
        return sorted(ways, key=lambda way: (-len(way.lessons), -self._support[way.form], way.form))

    def write(self, kind: Kind, least: int) -> Written | None:
        """Return how to do tasks of a kind; None where nothing is known that does better than doing anything.

        Where a looked-up field tells which of two ways to take, both may be in it, under a condition. Of several
        procedures the one stays whose steps were most often followed by success.
        """
        ways = self.ways(kind, least)
        written = [Written(Procedure((kind.trigger,), self._steps(kind, way)), way.lessons) for way in ways]
        pairs = ((one, other) for one in ways for other in ways if len(one.form) > len(other.form))
        for main, other in pairs:
            if (fact := _difference(kind, main, other)) is not None:
                written.append(self._either(kind, main, other, fact))
        rates = [try_out(kind, each.procedure.steps).rate for each in written]
        best = max(range(len(written)), key=rates.__getitem__, default=None)
        everything = overall(kind)
        if best is None:
            return None
        better = 1 - rates[best] <= (1 - LEAST_GAIN) * (1 - everything.rate)
        return written[best] if better or everything.succeeded == everything.followed else None

    def _either(self, kind: Kind, main: Way, other: Way, fact: _Fact) -> Written:
        otherwise = replace(fact.condition, holds=False)
        steps = (
            Step(fact.look),
            *_under(fact.condition, _without(self._steps(kind, main), fact.look)),
            *_under(otherwise, _without(self._steps(kind, other), fact.look)),
        )
        return Written(Procedure((kind.trigger,), steps), (*main.lessons, *other.lessons))

    def _steps(self, kind: Kind, way: Way) -> tuple[Step, ...]:
        contexts = [Context(kind.words(lesson)) for lesson in way.lessons]
        goals = [goals_of(lesson, self.preparing) for lesson in way.lessons]
        steps: list[Step] = []
        for number, pieces in enumerate(way.form):
            places = [own[number].place for own in goals]
            acts = [lesson.acts[place] for lesson, place in zip(way.lessons, places, strict=True)]
            template = template_of(acts, contexts, self.kinds)
            before = (written(each, template.terms) for each in self.preparations.get(pieces, ()))
            steps.append(Step(template, tuple(Template(*each) for each in before)))
            for lesson, place, context in zip(way.lessons, places, contexts, strict=True):
                context.fields.update(lesson.told[place])
        return tuple(steps)


def _under(condition: Condition, steps: Sequence[Step]) -> list[Step]:
    return [replace(step, condition=condition) for step in steps]


def _without(steps: Sequence[Step], look: Template) -> list[Step]:
    return [step for step in steps if step.action != look]


def _difference(kind: Kind, main: Way, other: Way) -> _Fact | None:
    """Return the condition on a looked-up field that all of `main` meet and none of `other` does."""
    sides = [[_looked_up(kind, lesson) for lesson in side.lessons] for side in (main, other)]
    found: list[tuple[int, str, str, _Fact]] = []
    for look, name in sorted({each for side in sides for known in side for each in known}):
        here, there = ([known[look, name] for known in side if (look, name) in known] for side in sides)
        if min(len(here), len(there)) < LEAST_ON_A_SIDE:
            continue
        for value in sorted(set[str].intersection(*map(set, here))):
            if not any(value in others for others in there):
                fact = _Fact(Condition(name, value), Template.parse(look))
                found.append((-len(here) - len(there), name, value, fact))
    return min(found, key=lambda each: each[:3])[3] if found else None


def _looked_up(kind: Kind, lesson: Lesson) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Return what a lesson's calls told: by call and field, the value and the variable that it equals."""
    names = {value: name for name, value in kind.words(lesson).items()}
    known: dict[tuple[str, str], tuple[str, ...]] = {}
    for act, told in zip(lesson.acts, lesson.told, strict=True):
        if not act.is_call or not set(act.values) <= set(names):
            continue
        look = str(Template(act.pieces, tuple(names[value] for value in act.values)))
        for field, value in told.items():
            same = (f"{{{names[value]}}}",) if value in names else ()
            known.setdefault((look, field), (value, *same))
    return known
