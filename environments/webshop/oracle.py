"""The expert: what a customer who knows the shop would do next, from any state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

from agentgym.environments.webshop.catalogue import Product, product
from agentgym.environments.webshop.goal import Goal, reward
from agentgym.environments.webshop.sessions import Session
from agentgym.environments.webshop.stock import Stock


@dataclass(frozen=True, slots=True)
class Search:
    """Look for these words."""

    words: str


@dataclass(frozen=True, slots=True)
class Click:
    """Follow the link or press the button that is called so."""

    label: str


@dataclass(frozen=True, slots=True)
class Choose:
    """Choose a value for an option of the product in view."""

    option: str
    value: str


Step: TypeAlias = Search | Click | Choose


def next_step(
    goal: Goal, stock: Stock, session: Session, address: str, *, hasty: bool = False
) -> Step | None:
    """Return the next step towards a purchase that is worth 1; None when something was bought.

    The expert searches with the words of the goal, opens the first product shown that fits, chooses its options
    and buys it at once. Where the first 50 have none it searches for the product that the goal was made from. In haste
    it opens the first product whatever it is, and buys it as it stands.
    """
    if session.order is not None:
        return None
    path = urlsplit(address).path
    if hasty and path == "/search":
        return _first_result(goal, stock, session, address)
    if hasty and path.startswith("/item/"):
        return Click("buy now")
    if path == "/search":
        return _in_results(goal, stock, session, address)
    if path.startswith("/item/"):
        return _at_product(goal, stock, address)
    return _first_search(goal, stock)


def _in_results(goal: Goal, stock: Stock, session: Session, address: str) -> Step:
    fields = dict(parse_qsl(urlsplit(address).query))
    found = stock.search(fields.get("q", ""))
    page = int(fields.get("page", "1"))
    for place, number in enumerate(found):
        at = place // session.per_page + 1
        if at >= page and _fits(goal, product(number)):
            return Click(product(number).code) if at == page else Click("next")
    search = _first_search(goal, stock)
    return search if search.words != fields.get("q") or page > 1 else Search(goal.product.title)


def _first_result(goal: Goal, stock: Stock, session: Session, address: str) -> Step:
    fields = dict(parse_qsl(urlsplit(address).query))
    found = stock.search(fields.get("q", ""))[(int(fields.get("page", "1")) - 1) * session.per_page :]
    return Click(product(found[0]).code) if found else Search(goal.product.title)


def _at_product(goal: Goal, stock: Stock, address: str) -> Step:
    parts = urlsplit(address)
    number = stock.number(parts.path.removeprefix("/item/"))
    if number is None or not _fits(goal, product(number)):
        return _first_search(goal, stock)
    chosen = dict(parse_qsl(parts.query))
    for option, value in goal.options.items():
        if chosen.get(option) != value:
            return Choose(option, value)
    return Click("buy now")


def _first_search(goal: Goal, stock: Stock) -> Search:
    options = [f"{option} {value}" for option, value in goal.options.items()]
    words = " ".join([*goal.attributes, goal.product.kind.name, *options])
    if any(_fits(goal, product(number)) for number in stock.search(words)):
        return Search(words)
    return Search(goal.product.title)


def _fits(goal: Goal, each: Product) -> bool:
    """Whether the product can be bought as the goal wants it."""
    offered = all(each.takes(option, value) for option, value in goal.options.items())
    return offered and reward(goal, each, goal.options) == 1.0
