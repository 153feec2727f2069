"""What an assistant can do in the calendar and in the mail."""

from __future__ import annotations

from agentgym.environments.backoffice.desk import Desk, Refused, Row
from agentgym.environments.backoffice.office.data import DAYS, HOURS
from agentgym.environments.backoffice.toolbox import DAY, TEXT, TIME, WHOLE, Tool, one_of, tool


@tool(email=TEXT)
def find_person(desk: Desk, email: str) -> Row:
    """Find a person by mail address."""
    found = desk.rows("SELECT * FROM people WHERE email = ?", email.strip().lower())
    if not found:
        raise Refused(f"Nobody has the mail address {email!r}. Addresses look like ana.costa@mail.test.")
    return found[0]


@tool(person_id=TEXT)
def get_person(desk: Desk, person_id: str) -> Row:
    """Show a person."""
    return desk.one("people", person_id)


@tool(team=one_of("sales", "finance", "design", "support"))
def list_team(desk: Desk, team: str) -> list[Row]:
    """List the people of a team."""
    return desk.rows("SELECT id, name, lead FROM people WHERE team = ? ORDER BY id", team)


@tool(person_id=TEXT, day=DAY)
def list_events(desk: Desk, person_id: str, day: str) -> list[Row]:
    """List a person's events on a day, organised or invited to."""
    desk.one("people", person_id)
    return desk.rows(
        "SELECT id, title, starts, room FROM events WHERE day = ? AND status = 'planned' AND (organiser = ? OR id IN "
        "(SELECT event FROM invitations WHERE person = ?)) ORDER BY starts",
        day,
        person_id,
        person_id,
    )


@tool(event_id=TEXT)
def get_event(desk: Desk, event_id: str) -> Row:
    """Show an event."""
    invited = desk.rows("SELECT person FROM invitations WHERE event = ? ORDER BY id", event_id)
    return {**desk.one("events", event_id), "invited": [row["person"] for row in invited]}


@tool(room_id=TEXT)
def get_room(desk: Desk, room_id: str) -> Row:
    """Show a room."""
    return desk.one("rooms", room_id)


@tool(day=DAY, starts=TIME, seats=WHOLE)
def find_rooms(desk: Desk, day: str, starts: str, seats: int = 1) -> list[Row]:
    """List the rooms that are free for an hour and have seats enough."""
    _in_calendar(day, starts)
    return desk.rows(
        "SELECT * FROM rooms WHERE seats >= ? AND id NOT IN (SELECT room FROM events WHERE day = ? AND starts = ? AND "
        "status = 'planned') ORDER BY id",
        seats,
        day,
        starts,
    )


@tool(title=TEXT, day=DAY, starts=TIME, room_id=TEXT, organiser_id=TEXT)
def create_event(desk: Desk, title: str, day: str, starts: str, room_id: str, organiser_id: str) -> Row:
    """Plan an event of one hour."""
    desk.one("people", organiser_id)
    _must_be_free(desk, room_id, day, starts)
    event = desk.next_id("events", "E")
    desk.add(
        "events",
        id=event,
        title=title,
        day=day,
        starts=starts,
        room=room_id,
        organiser=organiser_id,
        status="planned",
    )
    return {"event": event}


@tool(event_id=TEXT, day=DAY, starts=TIME, room_id=TEXT)
def move_event(desk: Desk, event_id: str, day: str, starts: str, room_id: str) -> Row:
    """Move an event to another hour, or another room, or both."""
    _planned(desk, event_id)
    _must_be_free(desk, room_id, day, starts)
    desk.set("events", event_id, day=day, starts=starts, room=room_id)
    return {"event": event_id, "day": day, "starts": starts, "room": room_id}


@tool(event_id=TEXT)
def cancel_event(desk: Desk, event_id: str) -> Row:
    """Cancel an event."""
    _planned(desk, event_id)
    desk.set("events", event_id, status="cancelled")
    return {"cancelled": event_id}


@tool(event_id=TEXT, person_id=TEXT)
def add_person(desk: Desk, event_id: str, person_id: str) -> Row:
    """Invite a person to an event."""
    desk.one("people", person_id)
    event = _planned(desk, event_id)
    invited = desk.value("SELECT 1 FROM invitations WHERE event = ? AND person = ?", event_id, person_id)
    if invited or person_id == event["organiser"]:
        raise Refused(f"{person_id} takes part in event {event_id} already.")
    desk.add("invitations", id=desk.next_id("invitations", "I"), event=event_id, person=person_id)
    return {"event": event_id, "invited": person_id}


@tool(event_id=TEXT, person_id=TEXT)
def remove_person(desk: Desk, event_id: str, person_id: str) -> Row:
    """Take a person's invitation to an event back."""
    _planned(desk, event_id)
    if not desk.value("SELECT 1 FROM invitations WHERE event = ? AND person = ?", event_id, person_id):
        raise Refused(f"{person_id} is not invited to event {event_id}; see get_event.")
    desk.run("DELETE FROM invitations WHERE event = ? AND person = ?", event_id, person_id)
    return {"event": event_id, "removed": person_id}


@tool(person_id=TEXT, sender_id=TEXT)
def search_mail(desk: Desk, person_id: str, sender_id: str) -> list[Row]:
    """List the mails that a person has had from a sender."""
    desk.one("people", person_id)
    desk.one("people", sender_id)
    query = "SELECT id, subject, folder FROM mails WHERE recipient = ? AND sender = ? ORDER BY id"
    return desk.rows(query, person_id, sender_id)


@tool(mail_id=TEXT)
def read_mail(desk: Desk, mail_id: str) -> Row:
    """Read a mail."""
    return desk.one("mails", mail_id)


@tool(mail_id=TEXT, person_id=TEXT)
def forward_mail(desk: Desk, mail_id: str, person_id: str) -> Row:
    """Send a mail on to a person."""
    desk.one("people", person_id)
    mail, new = desk.one("mails", mail_id), desk.next_id("mails", "L")
    sent = {"id": new, "sender": mail["recipient"], "recipient": person_id, "folder": "inbox"}
    desk.add("mails", **{**mail, **sent, "subject": f"FW: {mail['subject']}"})
    return {"sent": new}


@tool(mail_id=TEXT, folder=one_of("inbox", "archive", "trash"))
def move_mail(desk: Desk, mail_id: str, folder: str) -> Row:
    """Put a mail into a folder."""
    desk.one("mails", mail_id)
    desk.set("mails", mail_id, folder=folder)
    return {"mail": mail_id, "folder": folder}


@tool(sender_id=TEXT, person_id=TEXT, subject=TEXT, body=TEXT)
def send_mail(desk: Desk, sender_id: str, person_id: str, subject: str, body: str) -> Row:
    """Send a mail from one person to another."""
    desk.one("people", sender_id)
    desk.one("people", person_id)
    mail = desk.next_id("mails", "L")
    desk.add(
        "mails", id=mail, sender=sender_id, recipient=person_id, subject=subject, body=body, folder="inbox"
    )
    return {"sent": mail}


def _planned(desk: Desk, event_id: str) -> Row:
    event = desk.one("events", event_id)
    if event["status"] != "planned":
        raise Refused(f"Event {event_id} is {event['status']} already.")
    return event


def _must_be_free(desk: Desk, room_id: str, day: str, starts: str) -> None:
    desk.one("rooms", room_id)
    _in_calendar(day, starts)
    query = "SELECT id FROM events WHERE room = ? AND day = ? AND starts = ? AND status = 'planned'"
    taken = desk.value(query, room_id, day, starts)
    if taken:
        raise Refused(f"Room {room_id} is taken then, by event {taken}; see find_rooms.")


def _in_calendar(day: str, starts: str) -> None:
    if day not in DAYS:
        raise Refused(f"The argument 'day' must be one of {', '.join(DAYS)}, got {day!r}.")
    if starts not in HOURS:
        raise Refused(f"The argument 'starts' must be one of {', '.join(HOURS)}, got {starts!r}.")


TOOLS: tuple[Tool, ...] = (
    find_person, get_person, list_team, list_events, get_event, get_room, find_rooms, create_event, move_event,
    cancel_event, add_person, remove_person, search_mail, read_mail, forward_mail, move_mail, send_mail,
)  # fmt: skip
