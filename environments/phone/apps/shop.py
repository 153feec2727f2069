"""Shop: products, a cart, orders with a quantity and an address, and a wish list."""

from __future__ import annotations

from functools import partial
from random import Random

from agentgym.environments.phone import words
from agentgym.environments.phone.app import App, Change, Context
from agentgym.environments.phone.apps.collection import dialog
from agentgym.environments.phone.expert import Move, Route, Stage, fill, tap
from agentgym.environments.phone.store import Row, Store, Table
from agentgym.environments.phone.ui.widgets import (
    Button,
    Icon,
    Item,
    Screen,
    Switch,
    Text,
    Widget,
)

MOST = 9
"""Of one product in an order."""
TABLES = (
    Table("products", {"name": "", "price": 0, "wished": 0}),
    Table("cart", {"product": "", "quantity": 1}),
    Table("orders", {"product": "", "quantity": 1, "address": ""}),
)


def _main(ui: Context) -> Screen:
    rows: list[Widget] = [ui.field("Search")]
    sought = ui.typed("Search").casefold()
    for row in ui.db.rows("products", "name"):
        if sought in row["name"].casefold():
            rows.append(Item(row["name"], f"${row['price']}", ui.opens("product", id=row["id"])))
    return Screen("Shop", rows, [Icon("Cart", ui.opens("cart"))])


def _product(ui: Context) -> Screen:
    row = ui.row("products")

    def add() -> None:
        there = ui.db.rows("cart", product=row["name"])
        if there:
            ui.db.update("cart", there[0]["id"], quantity=min(there[0]["quantity"] + 1, MOST))
        else:
            ui.db.insert("cart", product=row["name"])
        ui.phone.say("Added to cart")

    rows = [
        Text(f"Price: ${row['price']}"),
        Switch("Wish list", bool(row["wished"]), ui.sets("products", row["id"], wished=1 - row["wished"])),
        Button("Add to cart", add),
        Button("Buy now", ui.opens("buy", id=row["id"])),
    ]
    return Screen(row["name"], rows)


def _buy(ui: Context) -> Screen:
    row = ui.row("products")
    rows = [ui.field("Address"), ui.field("Quantity"), Button("Place order", partial(_order, ui, row))]
    return Screen(f"Buy {row['name']}", rows, typing=True)


def _order(ui: Context, product: Row) -> None:
    quantity, address = ui.typed("Quantity"), ui.typed("Address")
    if not address:
        return ui.phone.say("Address is missing")
    if not (quantity.isascii() and quantity.isdigit() and 1 <= int(quantity[:3]) <= MOST):
        return ui.phone.say(f"A quantity is a number from 1 to {MOST}")
    ui.db.insert("orders", product=product["name"], quantity=int(quantity), address=address)
    ui.phone.pop(2)
    return ui.phone.say("Order placed")


def _cart(ui: Context) -> Screen:
    rows = [
        Item(row["product"], f"quantity {row['quantity']}", ui.opens("entry", id=row["id"]))
        for row in ui.db.rows("cart", "product")
    ]
    return Screen("Cart", rows or [Text("Nothing here")])


def _entry(ui: Context) -> Screen:
    row = ui.row("cart")

    def change(by: int) -> None:
        quantity = row["quantity"] + by
        if 1 <= quantity <= MOST:
            ui.db.update("cart", row["id"], quantity=quantity)

    def remove() -> None:
        ui.db.delete("cart", row["id"])
        ui.phone.pop()

    return dialog(
        row["product"],
        Button("More", partial(change, 1)),
        Button("Fewer", partial(change, -1)),
        Button("Remove", remove),
        Button("Close", ui.closes()),
        text=f"Quantity: {row['quantity']}",
    )


def _populate(store: Store, random: Random) -> None:
    names: dict[str, None] = {}
    while len(names) < 14:
        names.setdefault(words.product(random))
    prices = random.sample(range(5, 120), len(names))
    for name, price in zip(names, prices, strict=True):
        store.insert("products", name=name, price=price, wished=int(random.random() < 0.2))
    for name in random.sample(list(names), 3):
        store.insert("cart", product=name, quantity=random.randint(1, 3))


def at_product(row: Row, move: Move, *stages: Stage) -> Route:
    """Return the way to a product and on from there."""
    return Route(
        "Shop", (Stage("main", tap(row["name"])), Stage("product", move, {"id": row["id"]}), *stages)
    )


def _routes(store: Store, change: Change) -> Route | None:
    if change.table == "products":
        row = store.row("products", change.row_id)
        return at_product(row, tap("Wish list")) if row is not None else None
    if change.before is not None:
        return _cart_route(change) if change.table == "cart" else None
    wanted = change.after or {}
    row = store.rows("products", name=str(wanted["product"]))[0]
    if change.table == "cart":
        return at_product(row, tap("Add to cart"))
    typed = fill({"Address": str(wanted["address"]), "Quantity": str(wanted["quantity"])}, tap("Place order"))
    return at_product(row, tap("Buy now"), Stage("buy", typed, {"id": row["id"]}))


def _cart_route(change: Change) -> Route | None:
    before = change.before or {}
    if change.after is None or "product" in change.changed:
        move = tap("Remove")
    else:
        move = tap("More" if int(change.changed["quantity"]) > int(before["quantity"]) else "Fewer")
    to_it = Stage("cart", tap(str(before["product"])))
    return Route("Shop", (Stage("main", tap("Cart")), to_it, Stage("entry", move, {"id": change.row_id})))


APP = App(
    "Shop",
    "#d98a1f",
    {"main": _main, "product": _product, "buy": _buy, "cart": _cart, "entry": _entry},
    TABLES,
    _populate,
    _routes,
)
