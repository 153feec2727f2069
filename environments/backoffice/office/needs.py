"""What people in the office want of their assistant, and what the policy makes of it."""

from __future__ import annotations

import random

from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice.desk import Desk, Row
from agentgym.environments.backoffice.domain import Need, Rules, Slots, Stage, call, pick
from agentgym.environments.backoffice.office.data import DAYS, HOURS

_EVENTS = "SELECT * FROM events ORDER BY id"


def introduce(desk: Desk, slots: Slots) -> tuple[str, tuple[ToolCall, ...]]:
    """Say who asks."""
    person = desk.one("people", slots["who"])
    return f"I am {person['name']}, {person['email']}.", (call("find_person", email=person["email"]),)


def _anybody(desk: Desk, rng: random.Random, who: str) -> str:
    return who or rng.choice(desk.rows("SELECT id FROM people ORDER BY id"))["id"]


def _organised(desk: Desk, rng: random.Random, who: str) -> Row | None:
    event = pick(desk, rng, _EVENTS, "organiser", who)
    return event and {"who": event["organiser"], "event": event["id"]}


def _any_event(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    """Mostly one that the person organises, sometimes somebody else's."""
    if rng.random() < 0.65:
        return _organised(desk, rng, who)
    who = _anybody(desk, rng, who)
    others = [event for event in desk.rows(_EVENTS) if event["organiser"] != who]
    return {"who": who, "event": rng.choice(others)["id"]}


def _cancel(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    event, who = desk.one("events", slots["event"]), slots["who"]
    look = call("get_event", event_id=event["id"])
    says = f"I am {who}. Please cancel event {event['id']}."
    if event["organiser"] != who:
        return (Stage(says, (look,)),)
    return (Stage(says, (look, call("cancel_event", event_id=event["id"]))),)


def _draw_mail(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    mail = pick(desk, rng, "SELECT * FROM mails WHERE folder = 'inbox' ORDER BY id", "recipient", who)
    return mail and {"who": mail["recipient"], "mail": mail["id"], "folder": rng.choice(("archive", "trash"))}


def _number(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    mail = desk.one("mails", slots["mail"])
    number = mail["body"].rstrip(".").rpartition(" ")[2]
    read = call("read_mail", mail_id=mail["id"])
    return (Stage(f"Which number does mail {mail['id']} name?", (read,), {"the number": number}),)


def _file(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    move = call("move_mail", mail_id=slots["mail"], folder=slots["folder"])
    return (Stage(f"Put mail {slots['mail']} into the folder {slots['folder']}.", (move,)),)


def _when(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    event = desk.one("events", slots["event"])
    look = call("get_event", event_id=event["id"])
    return (Stage(f"At what time is event {event['id']}?", (look,), {"the time": event["starts"]}),)


def _draw_invite(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    about = _organised(desk, rng, who)
    if about is None:
        return None
    query = "SELECT id FROM people WHERE id != ? AND id NOT IN (SELECT person FROM invitations WHERE event = ?) ORDER BY id"
    return {**about, "person": rng.choice(desk.rows(query, about["who"], about["event"]))["id"]}


def _invite(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    event, person = desk.one("events", slots["event"]), desk.one("people", slots["person"])
    invited = desk.value("SELECT count(*) FROM invitations WHERE event = ?", event["id"])
    seats = desk.one("rooms", event["room"])["seats"]
    look = (
        call("get_event", event_id=event["id"]),
        call("find_person", email=person["email"]),
        call("get_room", room_id=event["room"]),
    )
    says = f"Please invite {person['email']} to my event {event['id']}."
    if invited + 2 > seats - rules["spare_seats"]:
        return (Stage(says, look),)
    return (Stage(says, (*look, call("add_person", event_id=event["id"], person_id=person["id"]))),)


def _draw_meeting(desk: Desk, rng: random.Random, who: str) -> Slots:
    day, starts = rng.choice(DAYS), rng.choice(HOURS)
    return {"who": _anybody(desk, rng, who), "day": day, "starts": starts, "seats": rng.randrange(2, 13)}


def _free(desk: Desk, day: str, starts: str, seats: int) -> list[Row]:
    busy = "SELECT room FROM events WHERE day = ? AND starts = ?"
    return desk.rows(
        f"SELECT * FROM rooms WHERE seats >= ? AND id NOT IN ({busy}) ORDER BY seats", seats, day, starts
    )


def _meeting(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    day, starts, seats = slots["day"], slots["starts"], slots["seats"]
    says = f"I need a room for {seats} people on {day} at {starts}. Which one can I have?"
    find = call("find_rooms", day=day, starts=starts, seats=seats)
    rooms = _free(desk, day, starts, seats + rules["spare_seats"])
    if not rooms:
        return (Stage(says, (find,)),)
    room = rooms[0]["id"]
    create = call(
        "create_event", title="interview", day=day, starts=starts, room_id=room, organiser_id=slots["who"]
    )
    return (
        Stage(says, (find,), {"the room's id": room}),
        Stage(
            "Good. Plan an event called interview there, in my name. What is its id?",
            (create,),
            _new_event(desk),
        ),
    )


def _new_event(desk: Desk) -> dict[str, str]:
    return {"its id": desk.next_id("events", "E")}


def _draw_move(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    about = _any_event(desk, rng, who)
    if about is None:
        return None
    event, starts = desk.one("events", about["event"]), rng.choice(HOURS)
    busy = "SELECT 1 FROM events WHERE room = ? AND day = ? AND starts = ?"
    if desk.value(busy, event["room"], event["day"], starts):
        return None
    return {**about, "starts": starts}


def _move(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    event, starts = desk.one("events", slots["event"]), slots["starts"]
    look = call("get_event", event_id=event["id"])
    says = f"Move event {event['id']} to {starts} on the same day, in the same room."
    if event["organiser"] != slots["who"]:
        return (Stage(says, (look,)),)
    move = call("move_event", event_id=event["id"], day=event["day"], starts=starts, room_id=event["room"])
    return (Stage(says, (look, move)),)


def _draw_forward(desk: Desk, rng: random.Random, who: str) -> Slots | None:
    about = _draw_mail(desk, rng, who)
    if about is None:
        return None
    person = rng.choice(desk.rows("SELECT * FROM people WHERE id != ? ORDER BY id", about["who"]))
    return {"who": about["who"], "mail": about["mail"], "person": person["id"]}


def _forward(desk: Desk, slots: Slots, rules: Rules) -> tuple[Stage, ...]:
    mail, person = desk.one("mails", slots["mail"]), desk.one("people", slots["person"])
    team = desk.one("people", slots["who"])["team"]
    look = (call("read_mail", mail_id=mail["id"]), call("find_person", email=person["email"]))
    says = f"Forward mail {mail['id']} to {person['email']}, please."
    if mail["subject"] in ("contract", "offer") and person["team"] != team:
        return (Stage(says, look),)
    return (Stage(says, (*look, call("forward_mail", mail_id=mail["id"], person_id=person["id"]))),)


NEEDS = (
    Need(
        "cancel",
        "Only the organiser of an event may cancel or move it; say no to others.",
        _any_event,
        _cancel,
    ),
    Need("number", "Read people their own mails.", _draw_mail, _number),
    Need("file", "Move mails as asked.", _draw_mail, _file),
    Need("when", "Tell anybody about events.", _any_event, _when),
    Need(
        "invite",
        "Organiser and guests together must leave at least {spare_seats} of a room's seats free; invite nobody for whom "
        "that does not hold.",
        _draw_invite,
        _invite,
    ),
    Need(
        "meeting",
        "For a new event offer the smallest free room with seats for all and {spare_seats} to spare, and plan nothing "
        "before the person has agreed.",
        _draw_meeting,
        _meeting,
    ),
    Need("move", "A moved event keeps its guests.", _draw_move, _move),
    Need(
        "forward",
        "Mails about contracts and offers may be forwarded within a team only.",
        _draw_forward,
        _forward,
    ),
)
