"""Terms: what a value in an action is, seen over all the lessons that have the action."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from agentgym.agents.follower.acts import Act
from agentgym.agents.follower.procedure import ANY, OTHER, Template, class_of
from agentgym.evolution.distilling.lessons import Lesson

AGREEMENT = 0.8
"""Share of the lessons in which a term has to stand for the value."""
LEAST_FOR_A_KIND = 3
"""Lessons before a kind of thing is taken for the only one that there is."""

Kinds: TypeAlias = Mapping[tuple[tuple[str, ...], int], Counter[str]]
"""What kinds of things actions were done with, by the action's pieces and the place in it, over all lessons."""


@dataclass
class Context:
    """What a lesson has said of values before an action."""

    words: Mapping[str, str]
    """The variables of its wish."""
    fields: dict[str, str] = field(default_factory=dict[str, str])
    things: dict[str, str] = field(default_factory=dict[str, str])
    """The thing that a variable was first used for."""


def kinds_seen(lessons: Sequence[Lesson]) -> Kinds:
    """Return what the needed actions of successes were done with."""
    seen: dict[tuple[tuple[str, ...], int], Counter[str]] = {}
    for lesson in lessons:
        for act in (lesson.acts[place] for place in lesson.needed):
            for place, value in enumerate(act.values):
                seen.setdefault((act.pieces, place), Counter())[class_of(value)] += 1
    return seen


def template_of(acts: Sequence[Act], contexts: Sequence[Context], kinds: Kinds) -> Template:
    """Return the action that `acts`, each of one lesson and of one form, have in common; contexts are moved on."""
    pieces, terms = [acts[0].pieces[0]], list[str]()
    for place, _ in enumerate(acts[0].values):
        votes = Counter(
            label
            for act, context in zip(acts, contexts, strict=True)
            for label in _labels(act, place, context)
        )
        label = next((each for each, n in _by_votes(votes) if n >= AGREEMENT * len(acts)), "")
        after = acts[0].pieces[place + 1]
        if not label and not acts[0].is_call:
            label = _only_kind(kinds.get((acts[0].pieces, place)))
        if label.startswith("="):
            pieces[-1] += json.dumps(label[1:], ensure_ascii=False)[1:-1] + after
        else:
            terms.append(label or f"{ANY}{'value' if acts[0].is_call else 'thing'}")
            pieces.append(after)
    _move_on(acts, contexts, terms)
    return Template(tuple(pieces), tuple(terms))


def _labels(act: Act, place: int, context: Context) -> Iterator[str]:
    """Yield what a value could be called: a variable, the other thing of one, a field; `=` and itself."""
    value = act.values[place]
    for name, word in context.words.items():
        if word not in (value, class_of(value)):
            continue
        if context.things.get(name, value) == value:
            yield name
        else:
            yield f"{OTHER}{name}"
    if act.is_call:
        yield from (name for name, known in context.fields.items() if known == value)
        if "{" not in value:
            yield f"={value}"


def _by_votes(votes: Counter[str]) -> list[tuple[str, int]]:
    return sorted(votes.items(), key=lambda each: (-each[1], each[0].startswith("="), each[0]))


def _only_kind(seen: Counter[str] | None) -> str:
    alone = seen is not None and len(seen) == 1 and seen.total() >= LEAST_FOR_A_KIND
    return next(iter(seen)) if seen and alone else ""


def _move_on(acts: Sequence[Act], contexts: Sequence[Context], terms: Sequence[str]) -> None:
    """Note in each context which things the variables stand for now."""
    for act, context in zip(acts, contexts, strict=True):
        for term, value in zip(terms, act.values, strict=False):
            if term in context.words:
                context.things.setdefault(term, value)
