"""A law as data: what an action needs and what it changes. Nothing of it is ever executed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, TypeAlias, cast

from agentgym.core.errors import UsageError
from agentgym.core.facts import Fact, Facts
from agentgym.memory.laws.forms import Form

ANY = "*"
"""In a pattern: whichever thing the action does not name."""
_LETTERS = "XYZUVW"

Pattern: TypeAlias = Fact
"""A fact about an action's slots: `("in", "?0", "?1")`. `("is", "?0", "mug")` speaks of a thing's kind."""


class Need(NamedTuple):
    """What must hold, or must not."""

    pattern: Pattern
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Law:
    """Where every need is met, the action brings about `adds` and ends `removes`, with a probability."""

    action: str
    """With slots for its things: `take ?0 from ?1`."""
    needs: tuple[Need, ...]
    adds: tuple[Pattern, ...]
    removes: tuple[Pattern, ...]
    """With `*` every fact of the pattern ends, but for those that are added."""
    probability: float
    """Of the effect where the needs are met: (n + 1) / (m + 2) for n of m."""
    weight: float = 1.0
    """How much it counts beside other laws: OneLife's theta."""

    def holds_in(self, before: Facts, form: Form) -> bool:
        """Return whether the needs of an action of this law are met in a state."""
        return all(need.holds is has(need.pattern, before, form) for need in self.needs)

    def changes(self, before: Facts, form: Form) -> Iterator[tuple[Fact, bool]]:
        """Yield the facts that the law speaks about, and whether they hold after the action."""
        added = {ground(pattern, form) for pattern in self.adds}
        for fact in sorted(added):
            yield fact, True
        for pattern in self.removes:
            for fact in sorted(matching(pattern, before, form) - added):
                yield fact, False

    def to_json(self) -> dict[str, Any]:
        """Return the law as JSON data."""
        return {
            "action": self.action,
            "needs": [[list(need.pattern), need.holds] for need in self.needs],
            "adds": [list(pattern) for pattern in self.adds],
            "removes": [list(pattern) for pattern in self.removes],
            "probability": self.probability,
            "weight": self.weight,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a law; raises `UsageError` for what is none."""
        try:
            needs = tuple(Need(_pattern(pattern), bool(holds)) for pattern, holds in data["needs"])
            adds, removes = (tuple(map(_pattern, data[name])) for name in ("adds", "removes"))
            law = cls(
                str(data["action"]), needs, adds, removes, float(data["probability"]), float(data["weight"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"Not a law: {error!r} in {data!r:.200}.") from None
        if not 0 < law.probability < 1 or not law.weight >= 0:
            raise UsageError(
                f"A law's probability is between 0 and 1 and its weight not below 0: {data!r:.200}."
            )
        return law

    def __str__(self) -> str:
        lines = [self.title]
        if self.needs:
            lines.append(f"Needs: {_listed((need.pattern, need.holds) for need in self.needs)}.")
        then = [*((pattern, True) for pattern in self.adds), *((pattern, False) for pattern in self.removes)]
        lines.append(f"Then: {_listed(then)}.")
        if self.probability < 0.9:
            lines.append(f"It works {self.probability:.0%} of the time.")
        return "\n".join(lines)

    @property
    def title(self) -> str:
        """The action, with letters for its things."""
        return _lettered(self.action)


def ground(pattern: Pattern, form: Form) -> Fact:
    """Return the fact that a pattern without `*` is of an action."""
    return (pattern[0], *(form.things[int(slot[1:])] if slot[:1] == "?" else slot for slot in pattern[1:]))


def matching(pattern: Pattern, facts: Facts, form: Form) -> set[Fact]:
    """Return the facts of a pattern; a `*` stands for any thing that the action does not name."""
    if ANY not in pattern:
        fact = ground(pattern, form)
        return {fact} if fact in facts else set()
    wanted = ground(pattern, form)
    return {
        fact
        for fact in facts
        if fact[0] == wanted[0]
        and len(fact) == len(wanted)
        and all(
            part not in form.things if want == ANY else part == want
            for part, want in zip(fact[1:], wanted[1:], strict=True)
        )
    }


def has(pattern: Pattern, facts: Facts, form: Form) -> bool:
    """Return whether a pattern holds of an action in a state."""
    if pattern[0] == "is":
        return form.kinds[int(pattern[1][1:])] == pattern[2]
    return bool(matching(pattern, facts, form))


def _pattern(parts: Any) -> Pattern:
    if (
        not isinstance(parts, list)
        or not parts
        or not all(isinstance(part, str) for part in cast("list[Any]", parts))
    ):
        raise ValueError(f"no pattern: {parts!r}")
    return tuple(cast("list[str]", parts))


def _lettered(text: str) -> str:
    for place, letter in enumerate(_LETTERS):
        text = text.replace(f"?{place}", letter)
    return text


def _listed(patterns: Any) -> str:
    return "; ".join(sorted(_said(pattern, holds) for pattern, holds in patterns))


def _said(pattern: Pattern, holds: bool) -> str:
    name, *things = (_lettered(part).replace(ANY, "anything else") for part in pattern)
    if not things:
        text = name
    elif len(things) == 1:
        text = f"{name} {things[0]}"
    else:
        text = f"{things[0]} {name} {' '.join(things[1:])}"
    return text if holds else f"not {text}"
