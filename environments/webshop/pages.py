"""What the shop's pages say: one document for each, from which HTML and text are made.

A page is lines of words and controls; a control is a link, or a button that posts a form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlencode

from agentgym.environments.webshop.catalogue import Product, product
from agentgym.environments.webshop.sessions import Item, Session

_LISTS = frozenset({"size", "length", "capacity", "height"})
"""Options that are chosen from a list; the others are links."""


@dataclass(frozen=True, slots=True)
class Control:
    """Something to click."""

    label: str
    href: str
    form: tuple[tuple[str, str], ...] | None = None
    """What is posted; None: it is a link."""
    chosen: bool = False


Part: TypeAlias = str | Control


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page; `kind` says how it looks: `text`, `result`, `links`, `list`, `actions`."""

    kind: str
    parts: tuple[Part, ...]
    name: str = ""
    """Of the option, in a list."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page, with the address by which it is found again."""

    title: str
    address: str
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The page in words."""
        return "\n".join("".join(map(_words, line.parts)) for line in self.lines)

    @property
    def controls(self) -> list[Control]:
        """What can be clicked, in the order in which it stands there."""
        return [
            part
            for line in self.lines
            for part in line.parts
            if isinstance(part, Control) and not part.chosen
        ]


def _words(part: Part) -> str:
    if isinstance(part, str):
        return part
    return f"{part.label} (chosen)" if part.chosen else part.label


def _row(kind: str, controls: Sequence[Control], name: str = "") -> Line:
    parts: list[Part] = [f"{name}: "] if name else []
    for control in controls:
        parts += [control, ", "]
    return Line(kind, tuple(parts[:-1]), name)


def _cart(session: Session) -> list[Control]:
    return [Control(f"cart ({len(session.cart)})", "/cart")] if session.cart else []


def front(session: Session) -> Page:
    """The page that one enters by."""
    lines = [Line("text", ("What are you looking for?",))]
    if session.cart:
        lines.append(_row("actions", _cart(session)))
    return Page("Welcome", "/", tuple(lines))


def results_address(query: str, page: int) -> str:
    """Return the address of a page of results, from 1."""
    fields = {"q": query, "page": page} if page > 1 else {"q": query}
    return f"/search?{urlencode(fields)}"


def results(session: Session, query: str, number: int, found: Sequence[int]) -> Page:
    """A page of what a search has found."""
    size = session.per_page
    begin = (number - 1) * size
    shown = [product(each) for each in found[begin : begin + size]]
    if not shown:
        lines = [Line("text", ("Nothing was found.",))]
    else:
        lines = [Line("text", (f"Results {begin + 1} to {begin + len(shown)} of {len(found)}:",))]
    lines += [
        Line("result", (Control(each.code, item_address(each, {})), f": {each.title}, ${each.price}"))
        for each in shown
    ]
    actions: list[Control] = []
    if number > 1:
        actions.append(Control("previous", results_address(query, number - 1)))
    if begin + size < len(found):
        actions.append(Control("next", results_address(query, number + 1)))
    actions += _cart(session)
    if actions:
        lines.append(_row("actions", actions))
    return Page("Results", results_address(query, number), tuple(lines))


def item_address(each: Product, chosen: Mapping[str, str]) -> str:
    """Return the address of a product with options chosen."""
    return f"/item/{each.code}{'?' if chosen else ''}{urlencode(sorted(chosen.items()))}"


def item(session: Session, each: Product, chosen: Mapping[str, str]) -> Page:
    """A product's page."""
    lines = [
        Line("text", (f"{each.title}, ${each.price}",)),
        Line("text", (f"features: {', '.join(each.attributes)}",)),
    ]
    for option, values in each.options:
        controls = [
            Control(value, item_address(each, {**chosen, option: value}), None, chosen.get(option) == value)
            for value in values
        ]
        lines.append(_row("list" if option in _LISTS else "links", controls, option))
    form = (("code", each.code), *sorted(chosen.items()))
    actions = [Control("buy now", "/buy", form), Control("add to cart", "/cart", form)]
    if session.found:
        actions.append(Control("back to results", session.found))
    lines.append(_row("actions", [*actions, *_cart(session)]))
    return Page(each.title, item_address(each, chosen), tuple(lines))


def describe(one: Item) -> str:
    """Return a line of a cart or an order."""
    each = product(one.number)
    options = "".join(f", {option} {value}" for option, value in one.options)
    return f"{each.title}{options}, ${each.price}"


def cart(session: Session) -> Page:
    """What is about to be bought."""
    lines = [Line("text", ("Your cart:" if session.cart else "Your cart is empty.",))]
    for n, one in enumerate(session.cart):
        remove = Control(f"remove {n + 1}", "/cart/remove", (("line", str(n)),))
        lines.append(Line("result", (remove, f": {describe(one)}")))
    actions = [Control("checkout", "/checkout")] if session.cart else []
    if session.found:
        actions.append(Control("back to results", session.found))
    if actions:
        lines.append(_row("actions", actions))
    return Page("Cart", "/cart", tuple(lines))


def checkout(session: Session) -> Page:
    """The last page before the order."""
    total = sum(product(one.number).price for one in session.cart)
    lines = [
        Line("text", (f"Your order of {len(session.cart)}, ${total} in all:",)),
        *[Line("text", (describe(one),)) for one in session.cart],
        _row("actions", [Control("place order", "/checkout", ()), Control("cart", "/cart")]),
    ]
    return Page("Checkout", "/checkout", tuple(lines))


def done(session: Session) -> Page:
    """After the order."""
    lines = [Line("text", ("Thank you for your order:",))]
    lines += [Line("text", (describe(one),)) for one in session.order or ()]
    return Page("Thank you", "/done", tuple(lines))


def missing(address: str) -> Page:
    """For an address where nothing is."""
    return Page("Not found", address, (Line("text", ("There is no such page in this shop.",)),))
