"""The products: 40 kinds, each in 64 families of 8 that differ in little; the same ones every time.

A family shares brand, line and kind. Its members differ in an attribute or two, in price, and in what there is to
choose, so that what was asked for is one of several near-duplicates.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from agentgym.environments.webshop.vocabulary import BRANDS, CATEGORIES, Category

VERSION = "1"
FAMILIES, MEMBERS = 64, 8
PER_CATEGORY = FAMILIES * MEMBERS
PRODUCTS = len(CATEGORIES) * PER_CATEGORY

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_CODES = len(_ALPHABET) ** 3
_SCATTER = 12_347
"""Odd, so that multiplying by it modulo `_CODES` gives each number a code of its own."""


@dataclass(frozen=True, slots=True)
class Product:
    """Something that the shop sells."""

    number: int
    code: str
    """What it is called in addresses and lists: three letters or digits."""
    title: str
    category: int
    """Index into `CATEGORIES`."""
    brand: str
    line: str
    attributes: tuple[str, ...]
    """What is true of it; the title names the first two."""
    options: tuple[tuple[str, tuple[str, ...]], ...]
    """What the customer chooses: each option with its values."""
    price: int
    """Dollars."""

    @property
    def kind(self) -> Category:
        """What it is."""
        return CATEGORIES[self.category]

    @property
    def features(self) -> tuple[str, ...]:
        """What its page lists."""
        return tuple(attribute.capitalize() for attribute in self.attributes)

    @property
    def description(self) -> str:
        """What its page tells."""
        first, *others = self.attributes
        also = f", {' and '.join(others[-2:])}" if others else ""
        return f"{self.kind.name.capitalize()} of the {self.line} line by {self.brand}: {first}{also}."

    def takes(self, option: str, value: str) -> bool:
        """Whether `value` can be chosen for `option`."""
        return value in dict(self.options).get(option, ())


def code_of(number: int) -> str:
    """Return the code of a product, which tells nothing about it."""
    scattered = number * _SCATTER % _CODES
    size = len(_ALPHABET)
    return "".join(_ALPHABET[scattered // size**place % size] for place in (2, 1, 0))


@lru_cache(maxsize=1 << 16)
def product(number: int) -> Product:
    """Make the product of a number, from 0 to `PRODUCTS` - 1."""
    category, rest = divmod(number, PER_CATEGORY)
    family, member = divmod(rest, MEMBERS)
    kind = CATEGORIES[category]
    shared = random.Random(f"webshop {VERSION}: {kind.name} family {family}")
    own = random.Random(f"webshop {VERSION}: {kind.name} product {rest}")
    brand, line = shared.choice(BRANDS), shared.choice(kind.lines)
    attributes = shared.sample(kind.attributes, 4)
    base = shared.randint(*kind.prices)
    if member:
        for _ in range(own.choice((1, 1, 2))):
            others = [each for each in kind.attributes if each not in attributes]
            attributes[own.randrange(4)] = own.choice(others)
        base = round(base * own.choice((0.7, 0.8, 0.9, 1.1, 1.25, 1.5)))
    title = f"{brand} {line} {attributes[0]} {attributes[1]} {kind.name}"
    return Product(
        number,
        code_of(number),
        title,
        category,
        brand,
        line,
        tuple(attributes),
        tuple((option, _some(values, own)) for option, values in kind.options),
        max(base, 2),
    )


def _some(values: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """Return some of the values, in their order: what is in stock."""
    count = min(len(values), rng.randint(2, 4))
    chosen = rng.sample(values, count)
    return tuple(value for value in values if value in chosen)
