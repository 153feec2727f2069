"""Instructions in words, as varied as customers are."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

_UNCOUNTED = frozenset({"tea", "oil", "mix", "popcorn", "shampoo", "cream", "balm"})

_ORDERS = ("buy", "order", "get", "find and buy", "pick out and buy", "shop for")
_NEEDS = ("I need", "I am looking for", "I would like", "please find me", "I want to buy")
_FORMS = (
    "{order} {attributes} {kind} {options} {price}",
    "{order} {kind} {options} {price}, {attributes}",
    "{order} {attributes} {kind}, {price}, {options}",
    "spend {limit} at most on {attributes} {kind} {options}",
    "serve a customer who says: {need} {attributes} {kind} {options}, {price}",
    "serve a customer who says: {need} {kind}, {attributes}, {price}, {options}",
)
_OPTIONS = ("{option} {value}", "{option}: {value}", "{value} for the {option}")
_PRICES = ("for less than {limit}", "under {limit}", "price lower than {limit}", "at no more than {limit}")
_LIMITS = ("${price}", "{price} dollars")


def instruction(
    kind: str, attributes: Sequence[str], options: Mapping[str, str], price: int, rng: random.Random
) -> str:
    """Word what is to be bought, beginning with a verb."""
    limit = rng.choice(_LIMITS).format(price=price)
    form = rng.choice(_FORMS)
    described = _listed(attributes)
    first = kind if form.index("{kind}") < form.index("{attributes}") else f"{described} {kind}"
    text = form.format(
        order=rng.choice(_ORDERS),
        need=rng.choice(_NEEDS),
        attributes="{attributes}",
        kind="{kind}",
        options=_chosen(options, rng),
        price=rng.choice(_PRICES).format(limit=limit),
        limit=limit,
    )
    article = _article(kind, first)
    if first == kind:
        return text.replace("{kind}", article + kind).replace("{attributes}", described)
    return text.replace("{attributes} {kind}", article + first)


def _chosen(options: Mapping[str, str], rng: random.Random) -> str:
    form = rng.choice(_OPTIONS)
    told = [form.format(option=option, value=value) for option, value in options.items()]
    return f"with {_listed(told)}"


def _listed(words: Sequence[str]) -> str:
    """Return words joined as in a sentence.

    >>> _listed(["light", "warm", "red"])
    'light, warm and red'
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _article(kind: str, phrase: str) -> str:
    noun = kind.split()[-1]
    if noun in _UNCOUNTED or noun.endswith("s"):
        return ""
    return "an " if phrase[0] in "aeiou" else "a "
