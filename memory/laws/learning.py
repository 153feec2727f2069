"""Learning laws: what changes together is one effect, and what tells where it comes from where it does not is its need.

For each form of action, facts that change in exactly the same of its instances make one law. Its needs are chosen from
what held in all of those: first what the effect ends, then whatever excludes most of the instances in which the effect
could have come and did not, until none is left or nothing excludes any more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentgym.core.facts import Fact
from agentgym.memory.laws.forms import Form
from agentgym.memory.laws.law import ANY, Law, Need, Pattern
from agentgym.memory.laws.watching import Change

LEAST = 2
"""Instances that a law needs."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A law and the episodes that it was learned from."""

    law: Law
    confirmed: tuple[str, ...]
    """Ids of episodes in which it was seen at work."""
    contradicted: tuple[str, ...]
    """Ids of episodes in which its needs were met and the effect did not come."""


@dataclass(frozen=True, slots=True)
class _Instance:
    """One use of an action."""

    change: Change
    form: Form
    held: frozenset[Pattern]
    """Before it, of the action's things; with `*` of any others."""
    added: frozenset[Pattern]
    removed: frozenset[Pattern]


def learn(changes: Iterable[Change], least: int = LEAST) -> list[Learned]:
    """Return the laws in what has changed, by action and effect; those seen fewer than `least` times are left out."""
    uses: dict[str, list[_Instance]] = defaultdict(list)
    for change in changes:
        form = Form.of(change.action)
        uses[form.text].append(_instance(change, form))
    laws = [law for action in sorted(uses) for law in _laws(action, uses[action], least)]
    return sorted(laws, key=lambda found: (found.law.action, found.law.adds, found.law.removes))


def _instance(change: Change, form: Form) -> _Instance:
    before, after = change.before, change.after
    kinds = {("is", f"?{slot}", kind) for slot, kind in enumerate(form.kinds)}
    added = (_lift(fact, form) for fact in after - before)
    return _Instance(
        change,
        form,
        frozenset(kinds | {pattern for fact in before if _local(pattern := _lift(fact, form))}),
        frozenset(
            pattern for pattern in added if ANY not in pattern
        ),  # others are nothing the action can tell
        frozenset(_lift(fact, form) for fact in before - after),
    )


def _lift(fact: Fact, form: Form) -> Pattern:
    return (fact[0], *(f"?{form.things.index(part)}" if part in form.things else ANY for part in fact[1:]))


def _local(pattern: Pattern) -> bool:
    """Whether a pattern says something of the action's things, or of the agent: facts of one thing or none."""
    return len(pattern) <= 2 or ANY not in pattern


def _laws(action: str, uses: Sequence[_Instance], least: int) -> Iterator[Learned]:
    effects: dict[frozenset[int], list[tuple[Pattern, bool]]] = defaultdict(list)
    for effect, seen in _effects(uses).items():
        effects[frozenset(seen)].append(effect)
    for seen, together in effects.items():
        if len(seen) < least:
            continue
        where = [uses[index] for index in sorted(seen)]
        could = [use for index, use in enumerate(uses) if index not in seen and _open(use, together)]
        needs = _needs(where, could, together)
        still = [use for use in could if _met(needs, use)]
        law = Law(
            action,
            tuple(sorted(needs)),
            tuple(sorted(pattern for pattern, holds in together if holds)),
            tuple(sorted(pattern for pattern, holds in together if not holds)),
            (len(where) + 1) / (len(where) + len(still) + 2),
        )
        yield Learned(law, _episodes(where), _episodes(still))


def _effects(uses: Sequence[_Instance]) -> Mapping[tuple[Pattern, bool], set[int]]:
    found: dict[tuple[Pattern, bool], set[int]] = defaultdict(set)
    for index, use in enumerate(uses):
        for holds, patterns in ((True, use.added), (False, use.removed)):
            for pattern in patterns:
                found[pattern, holds].add(index)
    return dict(sorted(found.items()))


def _open(use: _Instance, effects: Iterable[tuple[Pattern, bool]]) -> bool:
    """Whether any of the effects could still come: what is to be added is not there, what is to end is."""
    return any(holds is not (pattern in use.held) for pattern, holds in effects)


def _needs(
    where: Sequence[_Instance], could: Sequence[_Instance], effects: Iterable[tuple[Pattern, bool]]
) -> set[Need]:
    ever = {pattern for use in where for pattern in use.held}
    always = {pattern for pattern in ever if all(pattern in use.held for use in where)}
    never = {pattern for use in could for pattern in use.held} - ever
    needs = {Need(pattern) for pattern, holds in effects if not holds and pattern in always}
    # That a thing is not of some kind is true of too much to say anything.
    absent = [Need(each, False) for each in sorted(never) if each[0] != "is"]
    candidates = [*(Need(each) for each in sorted(always)), *absent]
    left = [use for use in could if _met(needs, use)]
    while left and candidates:
        best = max(candidates, key=lambda need: sum(not _met({need}, use) for use in left))
        rest = [use for use in left if _met({best}, use)]
        if len(rest) == len(left):
            break
        needs.add(best)
        left = rest
    return needs


def _met(needs: Iterable[Need], use: _Instance) -> bool:
    return all(need.holds is (need.pattern in use.held) for need in needs)


def _episodes(uses: Iterable[_Instance]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(use.change.episode for use in uses))
