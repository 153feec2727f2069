"""The helpdesk's database: staff, their devices and accounts, licences, installations, tickets."""

from __future__ import annotations

import random
from datetime import date, timedelta

from agentgym.environments.backoffice.desk import Desk
from agentgym.environments.backoffice.people import CITIES, people

TODAY = date(2026, 11, 2)

SCHEMA = """
CREATE TABLE staff (id TEXT PRIMARY KEY, name TEXT, email TEXT UNIQUE, site TEXT);
CREATE TABLE devices (id TEXT PRIMARY KEY, owner TEXT, model TEXT, bought TEXT, status TEXT, restart TEXT);
CREATE TABLE accounts (id TEXT PRIMARY KEY, owner TEXT, system TEXT, state TEXT, failures INTEGER, prompt TEXT, code TEXT);
CREATE TABLE licences (id TEXT PRIMARY KEY, product TEXT, seats INTEGER, used INTEGER);
CREATE TABLE installs (id TEXT PRIMARY KEY, device TEXT, licence TEXT);
CREATE TABLE purchases (id TEXT PRIMARY KEY, owner TEXT, model TEXT);
CREATE TABLE tickets (id TEXT PRIMARY KEY, owner TEXT, topic TEXT, status TEXT);
"""

MODELS = ("laptop", "tablet", "phone")
SYSTEMS = ("mail", "payroll", "wiki", "vpn")
_PRODUCTS = ("editor", "spreadsheet", "drawing", "statistics", "diagrams", "planner")


def fill(desk: Desk, rng: random.Random) -> None:
    """Write a helpdesk's rows."""
    owners = [f"U{11 + number}" for number in range(18)]
    for owner, (name, email) in zip(owners, people(rng, len(owners)), strict=True):
        desk.add("staff", id=owner, name=name, email=email, site=rng.choice(CITIES))
    for number in rng.sample(range(10, 100), 60):
        desk.add(
            "devices",
            id=f"D{number}",
            owner=rng.choice(owners),
            model=rng.choice(MODELS),
            bought=str(TODAY - timedelta(days=rng.randrange(60, 2400))),
            status=rng.choice(("working", "working", "broken")),
            restart="none",
        )
    for number, (owner, system) in zip(
        rng.sample(range(10, 100), 72),
        [(owner, system) for owner in owners for system in SYSTEMS],
        strict=True,
    ):
        state = rng.choice(("active", "locked"))
        failures = rng.randrange(3, 13) if state == "locked" else rng.randrange(0, 3)
        desk.add(
            "accounts",
            id=f"A{number}",
            owner=owner,
            system=system,
            state=state,
            failures=failures,
            prompt="none",
            code="",
        )
    for number, product in enumerate(_PRODUCTS):
        seats = rng.randrange(5, 40)
        used = seats if rng.random() < 0.35 else rng.randrange(1, seats)
        desk.add("licences", id=f"L{11 + number}", product=product, seats=seats, used=used)
    for number in rng.sample(range(10, 100), 50):
        status = rng.choice(("open", "open", "closed"))
        topic = rng.choice(("printer", "network", "security", "hardware"))
        desk.add("tickets", id=f"T{number}", owner=rng.choice(owners), topic=topic, status=status)
