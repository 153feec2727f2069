"""The shop's database: customers, products, and orders in every state."""

from __future__ import annotations

import random
from datetime import date, timedelta

from agentgym.environments.backoffice.desk import Desk
from agentgym.environments.backoffice.people import CITIES, STREETS, people

TODAY = date(2026, 3, 31)

SCHEMA = """
CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT, email TEXT UNIQUE, tier TEXT, credit INTEGER);
CREATE TABLE products (id TEXT PRIMARY KEY, name TEXT, category TEXT, price INTEGER, stock INTEGER);
CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT, status TEXT, total INTEGER, placed TEXT, delivered TEXT,
  city TEXT, street TEXT);
CREATE TABLE items (id TEXT PRIMARY KEY, order_id TEXT, product TEXT, quantity INTEGER, price INTEGER, status TEXT);
CREATE TABLE refunds (id TEXT PRIMARY KEY, order_id TEXT, product TEXT, amount INTEGER);
CREATE TABLE tickets (id TEXT PRIMARY KEY, customer TEXT, topic TEXT);
CREATE INDEX items_of_order ON items (order_id);
"""

_THINGS = {
    "lamp": ("desk lamp", "floor lamp", "clip lamp", "lantern"),
    "bag": ("backpack", "tote bag", "duffel bag", "belt bag"),
    "kettle": ("tea kettle", "travel kettle", "steel kettle", "glass kettle"),
    "chair": ("folding chair", "office chair", "bar stool", "armchair"),
    "clock": ("wall clock", "alarm clock", "kitchen timer", "table clock"),
    "pan": ("frying pan", "saucepan", "wok", "grill pan"),
}
_STATES = ("pending", "pending", "pending", "shipped", "delivered", "delivered", "delivered", "cancelled")


def fill(desk: Desk, rng: random.Random) -> None:
    """Write a shop's rows."""
    customers = people(rng, 16)
    for number, (name, email) in enumerate(customers):
        tier = "gold" if rng.random() < 0.3 else "basic"
        desk.add("customers", id=f"C{11 + number}", name=name, email=email, tier=tier, credit=0)
    for number, (category, name) in enumerate(
        (kind, name) for kind, names in _THINGS.items() for name in names
    ):
        price = rng.randrange(500, 9900, 100)
        desk.add(
            "products",
            id=f"P{11 + number}",
            name=name,
            category=category,
            price=price,
            stock=rng.randrange(0, 40),
        )
    for number in rng.sample(range(10, 100), 75):
        _order(desk, rng, f"O{number}", f"C{11 + rng.randrange(len(customers))}")


def _order(desk: Desk, rng: random.Random, order: str, customer: str) -> None:
    state = rng.choice(_STATES)
    placed = TODAY - timedelta(
        days=rng.randrange(1, 12) if state in ("pending", "shipped") else rng.randrange(15, 100)
    )
    delivered = str(placed + timedelta(days=rng.randrange(2, 14))) if state == "delivered" else ""
    total = 0
    for product in rng.sample(range(11, 11 + 4 * len(_THINGS)), rng.randrange(1, 4)):
        price = desk.value("SELECT price FROM products WHERE id = ?", f"P{product}")
        quantity = rng.choice((1, 1, 1, 2, 3))
        total += price * quantity
        desk.add(
            "items",
            id=desk.next_id("items", "I"),
            order_id=order,
            product=f"P{product}",
            quantity=quantity,
            price=price,
            status="ordered",
        )
    desk.add(
        "orders",
        id=order,
        customer=customer,
        status=state,
        placed=str(placed),
        delivered=delivered,
        city=rng.choice(CITIES),
        street=f"{rng.choice(STREETS)} {rng.randrange(1, 99)}",
        total=total,
    )
