"""What travellers want, and what the policy makes of it."""

from __future__ import annotations

import random
from datetime import timedelta

from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice.desk import Desk, Row, figure, money
from agentgym.environments.backoffice.domain import Need, Rules, Slots, Stage, call, pick
from agentgym.environments.backoffice.travel.data import TODAY, TOWNS

_COMING = f"day > '{TODAY}'"
_BOOKED = "SELECT b.* FROM bookings b JOIN flights f ON f.id = b.flight WHERE b.status = 'booked'"


def introduce(desk: Desk, slots: Slots) -> tuple[str, tuple[ToolCall, ...]]:
    """Say who asks."""
    person = desk.one("customers", slots["who"])
    return f"I am {person['name']}, {person['email']}.", (call("find_customer", email=person["email"]),)


def _anybody(desk: Desk, rng: random.Random, who: str) -> str:
    return who or rng.choice(desk.rows("SELECT id FROM customers ORDER BY id"))["id"]


def _coming(desk: Desk, rng: random.Random, who: str) -> Row | None:
    booking = pick(desk, rng, f"{_BOOKED} AND f.{_COMING} ORDER BY b.id", "customer", who)
    return booking and {"who": booking["customer"], "booking": booking["id"]}


def _cancel(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    booking = desk.one("bookings", slots["booking"])
    says = f"Please cancel my booking {booking['id']}. What do I get back?"
    look = call("get_booking", booking_id=booking["id"])
    if booking["insured"] != "yes":
        return (Stage(says, (look,)),)
    cancel = call("cancel_booking", booking_id=booking["id"], refund=figure(booking["paid"]))
    return (Stage(says, (look, cancel), {"the refund": money(booking["paid"])}),)


def _draw_flight(desk: Desk, rng: random.Random, who: str) -> Slots:
    flight = rng.choice(desk.rows(f"SELECT id FROM flights WHERE {_COMING} AND seats > 0 ORDER BY id"))
    return {"who": _anybody(desk, rng, who), "flight": flight["id"]}


def _price(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    flight = desk.one("flights", slots["flight"])
    look = call("get_flight", flight_id=flight["id"])
    return (Stage(f"What does flight {flight['id']} cost?", (look,), {"the price": money(flight["price"])}),)


def _departure(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    booking = desk.one("bookings", slots["booking"])
    flight = desk.one("flights", booking["flight"])
    look = (call("get_booking", booking_id=booking["id"]), call("get_flight", flight_id=flight["id"]))
    return (
        Stage(
            f"At what time does the flight of booking {booking['id']} leave?",
            look,
            {"the time": flight["departs"]},
        ),
    )


def _book(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    flight = desk.one("flights", slots["flight"])
    says = (
        f"I am customer {slots['who']}. Book flight {flight['id']} for me, without insurance; what do I pay?"
    )
    book = call("book_flight", customer_id=slots["who"], flight_id=flight["id"])
    return (Stage(says, (book,), {"the price": money(flight["price"])}),)


def _draw_cheapest(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    origin, destination = rng.sample(TOWNS, 2)
    prices = [row["price"] for row in _between(desk, origin, destination)]
    if len(prices) < 2 or prices[0] == prices[1]:
        return None
    return {"who": _anybody(desk, rng, who), "origin": origin, "destination": destination}


def _between(desk: Desk, origin: str, destination: str) -> list[Row]:
    where = f"origin = ? AND destination = ? AND {_COMING} AND seats > 0"
    return desk.rows(f"SELECT * FROM flights WHERE {where} ORDER BY price, id", origin, destination)


def _cheapest(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    origin, destination = slots["origin"], slots["destination"]
    flight = _between(desk, origin, destination)[0]
    ask = Stage(
        f"Which is the cheapest flight from {origin} to {destination}, on any day?",
        (call("search_flights", origin=origin, destination=destination),),
        {"its number": flight["id"]},
    )
    book = call("book_flight", customer_id=slots["who"], flight_id=flight["id"], insured="yes")
    return ask, Stage(
        "Book it for me, with insurance. What do I pay?", (book,), {"the price": money(flight["price"])}
    )


def _draw_bags(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    about = _coming(desk, rng, who)
    return about and {**about, "bags": rng.randrange(1, 4)}


def _bags(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    booking, bags = slots["booking"], slots["bags"]
    gold = desk.one("customers", slots["who"])["tier"] == "gold"
    charge = 0 if gold else bags * rules["bag_fee"]
    says = f"Add {bags} more bag{'s' if bags > 1 else ''} to my booking {booking}. What is the charge?"
    calls = (
        call("get_customer", customer_id=slots["who"]),
        call("get_booking", booking_id=booking),
        call("add_bags", booking_id=booking, bags=bags, charge=charge),
    )
    return (Stage(says, calls, {"the charge": str(charge)}),)


def _draw_change(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    about = _coming(desk, rng, who)
    if about is None:
        return None
    old = desk.one("flights", desk.one("bookings", about["booking"])["flight"])
    others = [row for row in _between(desk, old["origin"], old["destination"]) if row["price"] > old["price"]]
    if not others:
        return None
    return {**about, "flight": rng.choice(others)["id"], "budget": rng.choice((40, 120, 300))}


def _change(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    booking, new = desk.one("bookings", slots["booking"]), desk.one("flights", slots["flight"])
    fee = 0 if desk.one("customers", slots["who"])["tier"] == "gold" else rules["change_fee"] * 100
    charge = new["price"] - desk.one("flights", booking["flight"])["price"] + fee
    look = (
        call("get_customer", customer_id=slots["who"]),
        call("get_booking", booking_id=booking["id"]),
        call("get_flight", flight_id=booking["flight"]),
        call("get_flight", flight_id=new["id"]),
    )
    says = f"What would it cost to move my booking {booking['id']} to flight {new['id']}? Only tell me."
    ask = Stage(says, look, {"the charge": money(charge)})
    if charge > slots["budget"] * 100:
        return ask, Stage("No, that is too much. Leave it as it is.")
    change = call("change_flight", booking_id=booking["id"], flight_id=new["id"], charge=figure(charge))
    return ask, Stage("Good, please do that.", (change,))


def _draw_delay(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    query = f"{_BOOKED} AND f.day < '{TODAY}' AND f.delay > 0 ORDER BY b.id"
    booking = pick(desk, rng, query, "customer", who)
    return booking and {"who": booking["customer"], "booking": booking["id"]}


def _delay(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    booking = desk.one("bookings", slots["booking"])
    flight = desk.one("flights", booking["flight"])
    look = (call("get_booking", booking_id=booking["id"]), call("get_flight", flight_id=flight["id"]))
    says = f"The flight of my booking {booking['id']} was late. Do I get anything for it?"
    if flight["delay"] <= rules["delay_minutes"]:
        return (Stage(says, look),)
    give = call("issue_voucher", customer_id=slots["who"], amount=rules["voucher"])
    return (Stage(says, (*look, give), {"the voucher's amount": str(rules["voucher"])}),)


def _draw_hotel(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    city = rng.choice(TOWNS)
    prices = [row["nightly"] for row in _hotels(desk, city)]
    if not prices or len(set(prices)) < len(prices):
        return None
    arrives = str(TODAY + timedelta(days=rng.randrange(3, 30)))
    return {"who": _anybody(desk, rng, who), "city": city, "arrives": arrives, "nights": rng.randrange(1, 6)}


def _hotels(desk: Desk, city: str) -> list[Row]:
    return desk.rows("SELECT * FROM hotels WHERE city = ? AND rooms > 0 ORDER BY nightly", city)


def _hotel(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    hotel, nights = _hotels(desk, slots["city"])[0], slots["nights"]
    until = "one night" if nights == 1 else f"{nights} nights"
    says = f"I need the cheapest hotel in {slots['city']} from {slots['arrives']} for {until}. What will it cost in all?"
    book = call(
        "book_hotel", customer_id=slots["who"], hotel_id=hotel["id"], arrives=slots["arrives"], nights=nights
    )
    look = call("search_hotels", city=slots["city"])
    return (Stage(says, (look, book), {"the cost": money(hotel["nightly"] * nights)}),)


NEEDS = (
    Need(
        "cancel",
        "Cancel insured bookings only, and pay back what was paid; say no to others.",
        _coming,
        _cancel,
    ),
    Need("price", "Tell anybody about flights.", _draw_flight, _price),
    Need("departure", "Tell travellers about their bookings.", _coming, _departure),
    Need("book", "Book as asked for, and tell what is paid.", _draw_flight, _book),
    Need("cheapest", "Book only what the traveller has chosen.", _draw_cheapest, _cheapest),
    Need("bags", "A bag more costs {bag_fee}, for gold customers nothing.", _draw_bags, _bags),
    Need(
        "change",
        "To change a flight costs the difference between the two flights' prices, and {change_fee} besides, which gold "
        "customers do not pay. Tell it before.",
        _draw_change,
        _change,
    ),
    Need(
        "delay",
        "Who complains of a flight that was late by more than {delay_minutes} minutes gets a voucher of {voucher}, once; "
        "others get nothing.",
        _draw_delay,
        _delay,
    ),
    Need("hotel", "Of several hotels book the one that the traveller's wish decides.", _draw_hotel, _hotel),
)
