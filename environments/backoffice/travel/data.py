"""The travel agency's database: customers, flights, bookings, hotels, stays and vouchers."""

from __future__ import annotations

import random
from datetime import date, timedelta

from agentgym.environments.backoffice.desk import Desk
from agentgym.environments.backoffice.people import CITIES, people

TODAY = date(2026, 5, 4)
TOWNS = CITIES[:6]

SCHEMA = """
CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT, email TEXT UNIQUE, tier TEXT);
CREATE TABLE flights (id TEXT PRIMARY KEY, origin TEXT, destination TEXT, day TEXT, departs TEXT, price INTEGER,
  seats INTEGER, delay INTEGER);
CREATE TABLE bookings (id TEXT PRIMARY KEY, customer TEXT, flight TEXT, status TEXT, paid INTEGER, insured TEXT,
  bags INTEGER, booked TEXT);
CREATE TABLE hotels (id TEXT PRIMARY KEY, city TEXT, name TEXT, nightly INTEGER, rooms INTEGER);
CREATE TABLE stays (id TEXT PRIMARY KEY, customer TEXT, hotel TEXT, arrives TEXT, nights INTEGER, status TEXT,
  paid INTEGER);
CREATE TABLE vouchers (id TEXT PRIMARY KEY, customer TEXT, amount INTEGER);
"""

_HOUSES = ("Harbour Inn", "Grand Hotel", "City Lodge")


def fill(desk: Desk, rng: random.Random) -> None:
    """Write an agency's rows."""
    for number, (name, email) in enumerate(people(rng, 18)):
        tier = rng.choice(("basic", "basic", "silver", "gold"))
        desk.add("customers", id=f"C{11 + number}", name=name, email=email, tier=tier)
    for number in range(80):
        _flight(desk, rng, f"F{11 + number}")
    flights = desk.rows("SELECT * FROM flights ORDER BY id")
    for number in rng.sample(range(10, 100), 75):
        flight = rng.choice(flights)
        desk.add(
            "bookings",
            id=f"B{number}",
            customer=f"C{11 + rng.randrange(18)}",
            flight=flight["id"],
            status=rng.choice(("booked", "booked", "booked", "cancelled")),
            paid=flight["price"],
            insured=rng.choice(("yes", "no")),
            bags=rng.randrange(0, 2),
            booked=str(TODAY - timedelta(days=rng.choice((0, 1, 2, 3, 9, 20, 35)))),
        )
    for number, (town, house) in enumerate((town, house) for town in TOWNS for house in _HOUSES):
        nightly = rng.randrange(4500, 24000, 100)
        name = f"{house} {town}"
        desk.add(
            "hotels", id=f"H{11 + number}", city=town, name=name, nightly=nightly, rooms=rng.randrange(0, 9)
        )
    hotels = desk.rows("SELECT * FROM hotels ORDER BY id")
    for number in rng.sample(range(10, 100), 40):
        hotel, nights = rng.choice(hotels), rng.randrange(1, 6)
        desk.add(
            "stays",
            id=f"S{number}",
            customer=f"C{11 + rng.randrange(18)}",
            hotel=hotel["id"],
            arrives=str(TODAY + timedelta(days=rng.randrange(1, 40))),
            nights=nights,
            status=rng.choice(("booked", "booked", "cancelled")),
            paid=hotel["nightly"] * nights,
        )


def _flight(desk: Desk, rng: random.Random, flight: str) -> None:
    origin, destination = rng.sample(TOWNS, 2)
    flown = rng.random() < 0.35
    days = -rng.randrange(1, 8) if flown else rng.randrange(2, 21)
    desk.add(
        "flights",
        id=flight,
        origin=origin,
        destination=destination,
        day=str(TODAY + timedelta(days=days)),
        departs=f"{rng.randrange(6, 22):02d}:{rng.choice((0, 10, 20, 30, 40, 50)):02d}",
        price=rng.randrange(3000, 40000, 100),
        seats=rng.randrange(0, 30),
        delay=rng.choice((0, 0, 35, 70, 95, 130, 150, 200, 250)) if flown else 0,
    )
