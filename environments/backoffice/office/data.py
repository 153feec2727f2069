"""The office's database: people, rooms, events and who is invited, mails."""

from __future__ import annotations

import random
from datetime import date, timedelta

from agentgym.environments.backoffice.desk import Desk
from agentgym.environments.backoffice.people import people

TODAY = date(2026, 9, 7)
DAYS = tuple(str(TODAY + timedelta(days=days)) for days in (1, 2, 3, 4, 7, 8))
"""The days of work that the calendar covers."""
HOURS = ("09:00", "10:00", "11:00", "13:00", "14:00", "15:00", "16:00")
"""When events begin; each takes an hour."""
TEAMS = ("sales", "finance", "design", "support")

SCHEMA = """
CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT, email TEXT UNIQUE, team TEXT, lead TEXT);
CREATE TABLE rooms (id TEXT PRIMARY KEY, name TEXT, seats INTEGER, screen TEXT);
CREATE TABLE events (id TEXT PRIMARY KEY, title TEXT, day TEXT, starts TEXT, room TEXT, organiser TEXT, status TEXT);
CREATE TABLE invitations (id TEXT PRIMARY KEY, event TEXT, person TEXT);
CREATE TABLE mails (id TEXT PRIMARY KEY, sender TEXT, recipient TEXT, subject TEXT, body TEXT, folder TEXT);
CREATE INDEX invitations_of_event ON invitations (event);
"""

_TITLES = ("budget", "planning", "review", "hiring", "roadmap", "training", "handover", "kickoff")
_SUBJECTS = ("invoice", "contract", "offer", "survey", "newsletter", "report")


def fill(desk: Desk, rng: random.Random) -> None:
    """Write an office's rows."""
    for number, (name, email) in enumerate(people(rng, 20)):
        team = TEAMS[number % len(TEAMS)]
        lead = "yes" if number < len(TEAMS) else "no"
        desk.add("people", id=f"U{11 + number}", name=name, email=email, team=team, lead=lead)
    for number, seats in enumerate(rng.sample(range(3, 20), 8)):
        screen = rng.choice(("yes", "no"))
        desk.add("rooms", id=f"M{11 + number}", name=f"Room {number + 1}", seats=seats, screen=screen)
    hours = [(f"M{11 + room}", day, starts) for room in range(8) for day in DAYS for starts in HOURS]
    for number, (room, day, starts) in zip(
        rng.sample(range(10, 100), 80), rng.sample(hours, 80), strict=True
    ):
        _event(desk, rng, f"E{number}", room, day, starts)
    for number in rng.sample(range(10, 100), 80):
        _mail(desk, rng, f"L{number}")


def _event(desk: Desk, rng: random.Random, event: str, room: str, day: str, starts: str) -> None:
    organiser, *others = rng.sample(range(11, 31), 3)
    desk.add(
        "events",
        id=event,
        title=rng.choice(_TITLES),
        day=day,
        starts=starts,
        room=room,
        organiser=f"U{organiser}",
        status="planned",
    )
    for person in others:
        desk.add("invitations", id=desk.next_id("invitations", "I"), event=event, person=f"U{person}")


def _mail(desk: Desk, rng: random.Random, mail: str) -> None:
    sender, recipient = rng.sample(range(11, 31), 2)
    subject = rng.choice(_SUBJECTS)
    desk.add(
        "mails",
        id=mail,
        sender=f"U{sender}",
        recipient=f"U{recipient}",
        subject=subject,
        body=f"The {subject} is number {rng.randrange(1000, 9999)}.",
        folder=rng.choice(("inbox", "inbox", "inbox", "archive")),
    )
