"""Actions without the names of their things: what they have in common."""

from __future__ import annotations

import re
from typing import NamedTuple

_THING = re.compile(r"[a-z]+ \d+")
"""How text worlds name a thing: its kind and a number."""
_RUN = re.compile(r"\*(?:\W+(?:\w+\W+){0,2}\*)+")
"""A list of things that the action is not about."""


class Form(NamedTuple):
    """An action without its names."""

    text: str
    things: tuple[str, ...]
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, action: str) -> Form:
        """Take the names out of an action.

        >>> Form.of("take mug 1 from fridge 2")
        Form(text='take ?0 from ?1', things=('mug 1', 'fridge 2'), kinds=('mug', 'fridge'))
        """
        things = tuple(dict.fromkeys(_THING.findall(action)))
        kinds = tuple(thing.rpartition(" ")[0] for thing in things)
        return cls(_lifted(action, things), things, kinds)

    def lift(self, text: str) -> str:
        """Put the action's slots in place of its names in a text.

        >>> Form.of("open fridge 1").lift("The fridge 1 is open.")
        'The ?0 is open.'
        """
        return _lifted(text, self.things)

    def fill(self, text: str) -> str:
        """Put the names back."""
        return re.sub(r"\?(\d+)", lambda slot: self.things[int(slot[1])], text)

    def sketch(self, text: str) -> str:
        """Lift a text, and leave out which other things it names.

        >>> Form.of("take mug 1 from desk 1").sketch("On the desk 1, you see a pen 1, a mug 1, a key 2, and a key 3.")
        'On the ?1, you see a *, a ?0, a *.'
        """
        return _RUN.sub("*", _THING.sub("*", self.lift(text)))


def _lifted(text: str, things: tuple[str, ...]) -> str:
    places = {thing: f"?{place}" for place, thing in enumerate(things)}
    return _THING.sub(lambda found: places.get(found[0], found[0]), text)
