"""What the shop remembers of each customer."""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentgym.core.errors import UsageError

PER_PAGE = 10
"""Products on a page of results, unless the session says otherwise; as in WebShop."""
_STRANGERS = 1000
"""Sessions kept of visitors who came without one."""


@dataclass(frozen=True, slots=True)
class Item:
    """A product with the options chosen for it."""

    number: int
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A visit to the shop."""

    cart: tuple[Item, ...] = ()
    order: tuple[Item, ...] | None = None
    """What was bought; None: nothing yet."""
    found: str = ""
    """Address of the results that were looked at last."""
    per_page: int = PER_PAGE

    def dump(self) -> list[object]:
        """Return the session as JSON data."""
        return [
            _listed(self.cart),
            None if self.order is None else _listed(self.order),
            self.found,
            self.per_page,
        ]

    @classmethod
    def load(cls, data: Any) -> Session:
        """Read a session from `dump`'s output; raises `UsageError`."""
        try:
            cart, order, found, per_page = data
            if not (isinstance(found, str) and isinstance(per_page, int)):
                raise TypeError("an address and a number")
            return cls(_items(cart), None if order is None else _items(order), found, per_page)
        except (TypeError, ValueError):
            raise UsageError(f"This is no session of the shop: {json.dumps(data)[:200]}.") from None


def _listed(items: tuple[Item, ...]) -> list[object]:
    return [[item.number, [list(option) for option in item.options]] for item in items]


def _items(data: Any) -> tuple[Item, ...]:
    return tuple(Item(int(number), tuple((str(o), str(v)) for o, v in options)) for number, options in data)


class Sessions:
    """The sessions of all customers, by the id in their cookie."""

    def __init__(self) -> None:
        self._held: dict[str, Session] = {}
        self._strangers: OrderedDict[str, Session] = OrderedDict()

    def __getitem__(self, key: str) -> Session:
        return self._held[key] if key in self._held else self._strangers[key]

    def __setitem__(self, key: str, session: Session) -> None:
        (self._held if key in self._held else self._strangers)[key] = session

    def __contains__(self, key: str) -> bool:
        return key in self._held or key in self._strangers

    def open(self, session: Session) -> str:
        """Keep a session until it is closed, and return its id."""
        key = secrets.token_urlsafe(16)
        self._held[key] = session
        return key

    def welcome(self) -> str:
        """Begin a session for somebody who came without one, and return its id."""
        key = secrets.token_urlsafe(16)
        self._strangers[key] = Session()
        if len(self._strangers) > _STRANGERS:
            self._strangers.popitem(last=False)
        return key

    def close(self, key: str) -> None:
        """Forget a session."""
        self._held.pop(key, None)


def as_item(number: int, chosen: Mapping[str, str]) -> Item:
    """Return a product with its options in an order of their own."""
    return Item(number, tuple(sorted(chosen.items())))
