"""Tasks in the shop."""

from __future__ import annotations

from agentgym.environments.phone import words
from agentgym.environments.phone.apps.shop import MOST, at_product
from agentgym.environments.phone.expert import Route, Stage
from agentgym.environments.phone.goals import Goal
from agentgym.environments.phone.store import Row
from agentgym.environments.phone.templates.draft import Draft, Family, Level

FAMILY = Family("Shop")
template = FAMILY.template


def not_in_cart(draft: Draft) -> Row:
    """Return a product that is not in the cart."""
    inside = {row["product"] for row in draft.store.rows("cart")}
    return draft.random.choice([row for row in draft.store.rows("products") if row["name"] not in inside])


@template("shop_add_to_cart", Level.EASY)
def _add(draft: Draft) -> Goal:
    row = not_in_cart(draft)
    draft.add("cart", product=row["name"])
    return draft.goal("put the {name} into the cart", "add one {name} to the cart", name=row["name"])


@template("shop_remove_from_cart", Level.EASY)
def _remove(draft: Draft) -> Goal:
    row = draft.one("cart")
    draft.remove("cart", row)
    return draft.goal("take the {name} out of the cart", name=row["product"])


@template("shop_empty_cart", Level.MEDIUM, heldout=True)
def _empty(draft: Draft) -> Goal:
    for row in draft.store.rows("cart"):
        draft.remove("cart", row)
    return draft.goal("take everything out of the cart")


@template("shop_quantity", Level.EASY)
def _quantity(draft: Draft) -> Goal:
    row = draft.one("cart")
    quantity = draft.choice([str(number) for number in range(1, 6)], str(row["quantity"]))
    draft.change("cart", row, quantity=int(quantity))
    return draft.goal(
        "let the quantity of the {name} in the cart be {quantity}", name=row["product"], quantity=quantity
    )


@template("shop_wish", Level.EASY)
def _wish(draft: Draft) -> Goal:
    row = draft.one("products", wished=0)
    draft.change("products", row, wished=1)
    return draft.goal("put the {name} on the wish list", name=row["name"])


@template("shop_buy", Level.MEDIUM)
def _buy(draft: Draft) -> Goal:
    row, address = draft.one("products"), words.address(draft.random)
    quantity = draft.random.randint(1, MOST)
    draft.add("orders", product=row["name"], quantity=quantity, address=address)
    return draft.goal(
        "order {quantity} of the {name} to {address}",
        "buy {quantity} of the {name} and have it sent to {address}",
        quantity=quantity,
        name=row["name"],
        address=address,
    )


@template("shop_answer_price", Level.MEDIUM)
def _answer_price(draft: Draft) -> Goal:
    row = draft.one("products")
    draft.read(at_product(row, lambda scene: None))
    return draft.goal("answer how many dollars the {name} costs", name=row["name"], answer=str(row["price"]))


@template("shop_wish_cheapest", Level.MEDIUM)
def _wish_cheapest(draft: Draft) -> Goal:
    row = min(draft.store.rows("products"), key=lambda row: row["price"])
    row = draft.arrange("products", row, wished=0)
    draft.read(Route("Shop", (Stage("main", lambda scene: None),)), to_end=True)
    draft.change("products", row, wished=1)
    return draft.goal("put the cheapest product of the shop on the wish list")
