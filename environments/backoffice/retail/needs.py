"""What customers of the shop want, and what the policy makes of it."""

from __future__ import annotations

import random
from datetime import date, timedelta

from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice.desk import Desk, Row, figure, money
from agentgym.environments.backoffice.domain import Need, Rules, Slots, Stage, call, pick
from agentgym.environments.backoffice.people import CITIES, STREETS
from agentgym.environments.backoffice.retail.data import TODAY


def introduce(desk: Desk, slots: Slots) -> tuple[str, tuple[ToolCall, ...]]:
    """Say who asks."""
    person = desk.one("customers", slots["who"])
    return f"I am {person['name']}, {person['email']}.", (call("find_customer", email=person["email"]),)


def _about_order(desk: Desk, rng: random.Random, who: str, *states: str) -> Row | None:
    order = pick(
        desk, rng, f"SELECT * FROM orders WHERE status = '{rng.choice(states)}' ORDER BY id", "customer", who
    )
    return order and {"who": order["customer"], "order": order["id"]}


def _mostly_pending(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    return _about_order(desk, rng, who, "pending", "pending", "shipped")


def _delivered(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    return _about_order(desk, rng, who, "delivered")


def _cancel(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    order = desk.one("orders", slots["order"])
    look = call("get_order", order_id=order["id"])
    says = f"Please cancel order {order['id']} and tell me what I get back."
    if order["status"] != "pending":
        return (Stage(says, (look,)),)
    return (
        Stage(
            says, (look, call("cancel_order", order_id=order["id"])), {"the refund": money(order["total"])}
        ),
    )


def _draw_address(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    about = _mostly_pending(desk, rng, who)
    street = f"{rng.choice(STREETS)} {rng.randrange(1, 99)}"
    return about and {**about, "city": rng.choice(CITIES), "street": street}


def _address(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    order = desk.one("orders", slots["order"])
    calls = [call("get_order", order_id=order["id"])]
    if order["status"] == "pending":
        calls.append(call("change_address", order_id=order["id"], city=slots["city"], street=slots["street"]))
    return (Stage(f"Send order {order['id']} to {slots['city']}, {slots['street']} instead.", tuple(calls)),)


def _total(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    order = desk.one("orders", slots["order"])
    says = f"What is the total of order {order['id']}?"
    return (Stage(says, (call("get_order", order_id=order["id"]),), {"the total": money(order["total"])}),)


def _draw_reorder(desk: Desk, rng: random.Random, who: str) -> Slots:
    product = rng.choice(desk.rows("SELECT id FROM products WHERE stock >= 5 ORDER BY id"))
    who = who or rng.choice(desk.rows("SELECT id FROM customers ORDER BY id"))["id"]
    return {"who": who, "product": product["id"], "quantity": rng.randrange(1, 6)}


def _reorder(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    product, quantity = desk.one("products", slots["product"]), slots["quantity"]
    says = f"I am customer {slots['who']}. Order {quantity} of product {product['id']} for me; what does it come to?"
    place = call("place_order", customer_id=slots["who"], product_id=product["id"], quantity=quantity)
    return (Stage(says, (place,), {"the total": money(product["price"] * quantity)}),)


def _draw_return(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    about = _delivered(desk, rng, who)
    if about is None:
        return None
    items = desk.rows("SELECT product FROM items WHERE order_id = ? ORDER BY id", about["order"])
    return {**about, "product": rng.choice(items)["product"]}


def _return(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    order, who = desk.one("orders", slots["order"]), desk.one("customers", slots["who"])
    query = "SELECT price * quantity FROM items WHERE order_id = ? AND product = ?"
    paid = desk.value(query, order["id"], slots["product"])
    says = f"I want to send back {slots['product']} of order {order['id']}. What will I get?"
    calls = [
        call("get_order", order_id=order["id"]),
        call("list_items", order_id=order["id"]),
        call("get_customer", customer_id=who["id"]),
    ]
    if date.fromisoformat(order["delivered"]) + timedelta(days=rules["return_days"]) < TODAY:
        return (Stage(says, tuple(calls)),)
    kept = 0 if who["tier"] == "gold" else rules["restock_percent"]
    refund = round(paid * (100 - kept) / 100)
    calls.append(call("calculate", expression=f"{money(paid)} * {100 - kept} / 100"))
    calls.append(
        call("return_item", order_id=order["id"], product_id=slots["product"], refund=figure(refund))
    )
    return (Stage(says, tuple(calls), {"the refund": money(refund)}),)


def _draw_exchange(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    about = _about_order(desk, rng, who, "pending")
    if about is None:
        return None
    item = rng.choice(desk.rows("SELECT * FROM items WHERE order_id = ? ORDER BY id", about["order"]))
    others = desk.rows(
        "SELECT p.id, p.price FROM products p JOIN products mine ON mine.category = p.category WHERE mine.id = ? "
        "AND p.id NOT IN (SELECT product FROM items WHERE order_id = ?) AND p.stock >= ? AND p.price > ? ORDER BY p.id",
        item["product"], about["order"], item["quantity"], item["price"],
    )  # fmt: skip
    if not others:
        return None
    other = rng.choice(others)
    more = (other["price"] - item["price"]) * item["quantity"]
    budget = round(more * rng.choice((0.6, 1.5, 2.0)) / 100)
    return {**about, "product": item["product"], "other": other["id"], "budget": budget}


def _exchange(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    order, old, new = slots["order"], slots["product"], desk.one("products", slots["other"])
    query = "SELECT * FROM items WHERE order_id = ? AND product = ?"
    item = desk.rows(query, order, old)[0]
    more = (new["price"] - item["price"]) * item["quantity"]
    look = (
        call("get_order", order_id=order),
        call("list_items", order_id=order),
        call("get_product", product_id=new["id"]),
    )
    ask = Stage(
        f"How much more would I pay if you swapped {old} in order {order} for {new['id']}? Do nothing yet.",
        look,
        {"the difference": money(more)},
    )
    if more > slots["budget"] * 100:
        return ask, Stage("That is too much for me. Leave the order as it is.")
    swap = call("exchange_item", order_id=order, product_id=old, new_product_id=new["id"])
    return ask, Stage("All right, please do it.", (swap,))


def _late(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    order = desk.one("orders", slots["order"])
    took = (date.fromisoformat(order["delivered"]) - date.fromisoformat(order["placed"])).days
    says = f"Order {order['id']} took far too long. Is there anything you can do for me, and how much is it?"
    look = call("get_order", order_id=order["id"])
    if took <= rules["late_days"]:
        return (Stage(says, (look,)),)
    credit = round(order["total"] * rules["late_percent"] / 100)
    work_out = call("calculate", expression=f"{money(order['total'])} * {rules['late_percent']} / 100")
    give = call("add_credit", customer_id=slots["who"], amount=figure(credit))
    return (Stage(says, (look, work_out, give), {"the credit": money(credit)}),)


NEEDS = (
    Need("cancel", "Cancel pending orders only; say no to others, and change nothing.", _mostly_pending, _cancel),
    Need("address", "Change the address of pending orders only.", _draw_address, _address),
    Need("total", "Tell customers about their own orders.", _delivered, _total),
    Need("reorder", "Place an order only as asked for, and tell its total.", _draw_reorder, _reorder),
    Need(
        "return",
        "A product may come back up to {return_days} days after the day of its delivery; later say no. The refund is "
        "what was paid for it, less {restock_percent} percent; gold customers get all of it.",
        _draw_return,
        _return,
    ),
    Need(
        "exchange",
        "Exchange products of pending orders only, for one of the same category, and tell the difference in price before.",
        _draw_exchange,
        _exchange,
    ),
    Need(
        "late",
        "Who waited longer than {late_days} days from placing to delivery and complains gets {late_percent} percent of "
        "the order's total as store credit, to the nearest cent; others get nothing.",
        _delivered,
        _late,
    ),
)  # fmt: skip
