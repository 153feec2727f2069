"""What the order desk can do."""

from __future__ import annotations

from typing import Any

from agentgym.environments.backoffice.calculator import calculate
from agentgym.environments.backoffice.desk import Desk, Refused, Row, cents, figure, money, shown
from agentgym.environments.backoffice.retail.data import TODAY
from agentgym.environments.backoffice.toolbox import AMOUNT, TEXT, WHOLE, Tool, one_of, tool


@tool(email=TEXT)
def find_customer(desk: Desk, email: str) -> Row:
    """Find a customer by mail address."""
    found = desk.rows("SELECT id, name, tier FROM customers WHERE email = ?", email.strip().lower())
    if not found:
        raise Refused(
            f"No customer has the mail address {email!r}. Ask for the address that the account was made with."
        )
    return found[0]


@tool(customer_id=TEXT)
def get_customer(desk: Desk, customer_id: str) -> Row:
    """Show a customer."""
    return shown(desk.one("customers", customer_id), "credit")


@tool(customer_id=TEXT)
def list_orders(desk: Desk, customer_id: str) -> list[Row]:
    """List a customer's orders."""
    desk.one("customers", customer_id)
    found = desk.rows(
        "SELECT id, status, placed, total FROM orders WHERE customer = ? ORDER BY id", customer_id
    )
    return [shown(row, "total") for row in found]


@tool(order_id=TEXT)
def get_order(desk: Desk, order_id: str) -> Row:
    """Show an order."""
    order = shown(desk.one("orders", order_id), "total")
    return {name: order[name] for name in ("id", "customer", "status", "total", "placed", "delivered")}


@tool(order_id=TEXT)
def get_address(desk: Desk, order_id: str) -> Row:
    """Show where an order goes."""
    order = desk.one("orders", order_id)
    return {name: order[name] for name in ("id", "city", "street")}


@tool(order_id=TEXT)
def list_items(desk: Desk, order_id: str) -> list[Row]:
    """List what is in an order."""
    desk.one("orders", order_id)
    items = desk.rows(
        "SELECT product, quantity, price, status FROM items WHERE order_id = ? ORDER BY id", order_id
    )
    return [shown(item, "price") for item in items]


@tool(product_id=TEXT)
def get_product(desk: Desk, product_id: str) -> Row:
    """Show a product."""
    return shown(desk.one("products", product_id), "price")


@tool(category=one_of("lamp", "bag", "kettle", "chair", "clock", "pan"), max_price=AMOUNT)
def search_products(desk: Desk, category: str, max_price: float = 1000000) -> list[Row]:
    """List the products of a category."""
    found = desk.rows(
        "SELECT id, name, price, stock FROM products WHERE category = ? AND price <= ? ORDER BY price",
        category,
        cents(max_price),
    )
    return [shown(row, "price") for row in found]


@tool(order_id=TEXT)
def cancel_order(desk: Desk, order_id: str) -> Row:
    """Cancel an order and pay its total back."""
    order = desk.one("orders", order_id)
    if order["status"] in ("cancelled", "delivered"):
        raise Refused(f"Order {order_id} is {order['status']} already; there is nothing to cancel.")
    desk.set("orders", order_id, status="cancelled")
    _refund(desk, order_id, "", order["total"])
    return {"cancelled": order_id, "refund": figure(order["total"])}


@tool(order_id=TEXT, product_id=TEXT, refund=AMOUNT)
def return_item(desk: Desk, order_id: str, product_id: str, refund: float) -> Row:
    """Take back a product of a delivered order and pay the refund."""
    order, item = desk.one("orders", order_id), _item(desk, order_id, product_id)
    if order["status"] != "delivered":
        raise Refused(f"Order {order_id} is {order['status']}; only what was delivered can come back.")
    if item["status"] != "ordered":
        raise Refused(f"{product_id} of order {order_id} is {item['status']} already.")
    if cents(refund) > item["price"] * item["quantity"]:
        most = money(item["price"] * item["quantity"])
        raise Refused(
            f"The argument 'refund' is more than was paid for {product_id}: {most} at most, got {refund}."
        )
    desk.set("items", item["id"], status="returned")
    _refund(desk, order_id, product_id, cents(refund))
    return {"returned": product_id, "refund": refund}


@tool(order_id=TEXT, product_id=TEXT, new_product_id=TEXT)
def exchange_item(desk: Desk, order_id: str, product_id: str, new_product_id: str) -> Row:
    """Replace a product of an order by another one, in the same quantity."""
    order, item = desk.one("orders", order_id), _item(desk, order_id, product_id)
    new = desk.one("products", new_product_id)
    if order["status"] in ("cancelled", "delivered"):
        raise Refused(f"Order {order_id} is {order['status']}; its items cannot be exchanged.")
    if new["stock"] < item["quantity"]:
        raise Refused(f"{new_product_id} has {new['stock']} in stock, {item['quantity']} are needed.")
    difference = (new["price"] - item["price"]) * item["quantity"]
    desk.set("items", item["id"], product=new_product_id, price=new["price"])
    desk.set("orders", order_id, total=order["total"] + difference)
    desk.set("products", new_product_id, stock=new["stock"] - item["quantity"])
    return {"order": order_id, "total": figure(order["total"] + difference)}


@tool(order_id=TEXT, city=TEXT, street=TEXT)
def change_address(desk: Desk, order_id: str, city: str, street: str) -> Row:
    """Send an order elsewhere."""
    order = desk.one("orders", order_id)
    if order["status"] in ("cancelled", "delivered"):
        raise Refused(f"Order {order_id} is {order['status']}; it goes nowhere any more.")
    desk.set("orders", order_id, city=city, street=street)
    return {"order": order_id, "city": city, "street": street}


@tool(customer_id=TEXT, product_id=TEXT, quantity=WHOLE)
def place_order(desk: Desk, customer_id: str, product_id: str, quantity: int) -> Row:
    """Order a product for a customer, to their last address."""
    customer, product = desk.one("customers", customer_id), desk.one("products", product_id)
    if product["stock"] < quantity:
        raise Refused(f"{product_id} has {product['stock']} in stock; 'quantity' cannot be {quantity}.")
    last = desk.rows(
        "SELECT city, street FROM orders WHERE customer = ? ORDER BY placed DESC, id", customer["id"]
    )
    order, total = desk.next_id("orders", "O"), product["price"] * quantity
    where = last[0] if last else {"city": "", "street": ""}
    desk.add(
        "orders",
        id=order,
        customer=customer_id,
        status="pending",
        placed=str(TODAY),
        delivered="",
        total=total,
        **where,
    )
    item = desk.next_id("items", "I")
    desk.add(
        "items",
        id=item,
        order_id=order,
        product=product_id,
        quantity=quantity,
        price=product["price"],
        status="ordered",
    )
    desk.set("products", product_id, stock=product["stock"] - quantity)
    return {"order": order, "total": figure(total)}


@tool(customer_id=TEXT, amount=AMOUNT)
def add_credit(desk: Desk, customer_id: str, amount: float) -> Row:
    """Give a customer store credit."""
    credit = desk.one("customers", customer_id)["credit"] + cents(amount)
    desk.set("customers", customer_id, credit=credit)
    return {"customer": customer_id, "credit": figure(credit)}


@tool(customer_id=TEXT, topic=one_of("payment", "damage", "lost", "other"))
def open_ticket(desk: Desk, customer_id: str, topic: str) -> Row:
    """Hand a customer's case over to a person."""
    desk.one("customers", customer_id)
    ticket = desk.next_id("tickets", "T")
    desk.add("tickets", id=ticket, customer=customer_id, topic=topic)
    return {"ticket": ticket}


def _item(desk: Desk, order_id: str, product_id: str) -> Row:
    found = desk.rows("SELECT * FROM items WHERE order_id = ? AND product = ?", order_id, product_id)
    if found:
        return found[0]
    products = [row["product"] for row in desk.rows("SELECT product FROM items WHERE order_id = ?", order_id)]
    raise Refused(f"Order {order_id} has no product {product_id!r}; it has {', '.join(products)}.")


def _refund(desk: Desk, order_id: str, product_id: str, amount: int) -> Any:
    desk.add("refunds", id=desk.next_id("refunds", "R"), order_id=order_id, product=product_id, amount=amount)


TOOLS: tuple[Tool, ...] = (
    find_customer, get_customer, list_orders, get_order, get_address, list_items, get_product, search_products, cancel_order,
    return_item, exchange_item, change_address, place_order, add_credit, open_ticket, calculate,
)  # fmt: skip
