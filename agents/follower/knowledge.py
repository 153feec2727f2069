"""What a follower knows in an episode: what the task's variables stand for, and what it has been told."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agentgym.agents.follower.procedure import (
    ANY,
    OTHER,
    Condition,
    Template,
    class_of,
    fields_of,
)


class Knowledge:
    """Grows with every observation. `fields` are the latest single values that the world told, by name."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self._words: dict[str, str] = {}
        self._things: dict[str, str] = {}

    def bind(self, words: dict[str, str]) -> None:
        """Begin a procedure whose variables stand for `words`."""
        self._words = words
        self._things = {}

    def observe(self, observation: str) -> None:
        """Take in what the world told, where it is JSON."""
        try:
            data = json.loads(observation)
        except (ValueError, RecursionError):
            return
        self.fields.update(fields_of(data))

    def holds(self, condition: Condition | None) -> bool:
        """Whether a condition is met; one on a field that is not known is."""
        if condition is None or condition.field not in self.fields:
            return True
        wanted = self._words.get(condition.value.strip("{}"), condition.value)
        return (self.fields[condition.field] == wanted) is condition.holds

    def matching(self, template: Template, actions: Sequence[str]) -> list[str]:
        """Return the actions of a template's form in which every term may stand for what is there."""
        return [
            action
            for action in actions
            if (values := template.values(action)) is not None
            and all(self._may_be(*each) for each in zip(template.terms, values, strict=True))
        ]

    def settle(self, template: Template, action: str) -> None:
        """Note which things a step was done with: its variables stand for them from now on."""
        values = template.values(action) or ()
        for term, value in zip(template.terms, values, strict=False):
            if not term.startswith(ANY):
                self._things.setdefault(term, value)

    def filled(self, template: Template, anything: Sequence[str]) -> str | None:
        """Return a call with its variables filled in, `{any ...}` from `anything`; None where one is unknown."""
        values: list[str] = []
        for place, term in enumerate(template.terms):
            known = self._words.get(term, self.fields.get(term))
            if known is None and term.startswith(ANY) and anything:
                known = anything[place % len(anything)]
            if known is None:
                return None
            values.append(json.dumps(known, ensure_ascii=False)[1:-1])
        return template.fill(values)

    def word(self, term: str) -> str:
        """Return what a term stands for as the task says it, or the kind of thing that it names."""
        name = term.removeprefix(OTHER)
        return self._words.get(name, self.fields.get(name, name))

    def _may_be(self, term: str, thing: str) -> bool:
        if term.startswith(ANY):
            return True
        if term in self._things:
            return self._things[term] == thing
        name, wanted = term.removeprefix(OTHER), self.word(term)
        taken = term != name and self._things.get(name) == thing
        return wanted in (thing, class_of(thing)) and not taken
