"""Messages: conversations with numbers, called by their contact's name where there is one."""

from __future__ import annotations

from functools import partial
from random import Random

from agentgym.environments.phone import words
from agentgym.environments.phone.app import App, Change, Context, Frame
from agentgym.environments.phone.apps.collection import dialog
from agentgym.environments.phone.expert import Route, Stage, fill, hold, tap
from agentgym.environments.phone.store import Row, Store, Table
from agentgym.environments.phone.ui.widgets import Button, Icon, Item, Screen, Text, Widget

TABLE = Table("messages", {"number": "", "text": "", "outgoing": 0, "starred": 0})


def correspondent(store: Store, number: str) -> str:
    """Return the name that goes with a number, or the number."""
    known = store.rows("contacts", phone=number)
    return known[0]["name"] if known else number


def _main(ui: Context) -> Screen:
    latest = {row["number"]: row for row in ui.db.rows("messages")}
    rows: list[Widget] = []
    for number, row in sorted(latest.items(), key=lambda pair: -pair[1]["id"]):
        opens, asks = ui.opens("thread", number=number), ui.opens("delete", number=number)
        rows.append(Item(correspondent(ui.db, number), row["text"], opens, asks))
    return Screen("Messages", rows or [Text("Nothing here")], [Icon("New", ui.opens("new"))])


def _said(row: Row) -> str:
    return " ".join(["me" if row["outgoing"] else "", "starred" if row["starred"] else ""]).strip()


def _thread(ui: Context) -> Screen:
    number = ui.arg("number", "")
    rows: list[Widget] = [ui.field("Message"), Button("Send", lambda: _send(ui, number))]
    for row in reversed(ui.db.rows("messages", number=number)):
        menu = ui.opens("message", id=row["id"])
        rows.append(Item(row["text"], _said(row), None, menu))
    return Screen(correspondent(ui.db, number), rows, typing=True)


def _send(ui: Context, number: str) -> None:
    text = ui.typed("Message")
    if not text:
        return ui.phone.say("There is no message to send")
    ui.db.insert("messages", number=number, text=text, outgoing=1)
    ui.frame.fields.pop("Message", None)
    ui.frame.focus = "Message"
    return ui.phone.say("Sent")


def _new(ui: Context) -> Screen:
    def send() -> None:
        to = ui.typed("To")
        named = [row for row in ui.db.rows("contacts") if row["name"].casefold() == to.casefold()]
        number = named[0]["phone"] if named else to
        if not named and not any(character.isdigit() for character in to):
            return ui.phone.say("To whom? Type a contact's name or a number")
        if not ui.typed("Message"):
            return ui.phone.say("There is no message to send")
        _send(ui, number)
        ui.phone.pop()
        return ui.phone.push(Frame("Messages", "thread", {"number": number}))

    rows = [ui.field("To"), ui.field("Message"), Button("Send", send)]
    return Screen("New message", rows, typing=True)


def _message(ui: Context) -> Screen:
    row = ui.row("messages")

    def star() -> None:
        ui.db.update("messages", row["id"], starred=1 - row["starred"])
        ui.phone.pop()

    def delete() -> None:
        ui.db.delete("messages", row["id"])
        ui.phone.pop()

    return dialog(
        "Message",
        Button("Remove star" if row["starred"] else "Star", star),
        Button("Forward", ui.opens("forward", id=row["id"])),
        Button("Delete", delete),
        text=row["text"],
    )


def _forward(ui: Context) -> Screen:
    row = ui.row("messages")

    def to(number: str) -> None:
        ui.db.insert("messages", number=number, text=row["text"], outgoing=1)
        ui.phone.pop(2)
        ui.phone.say("Sent")

    rows: list[Widget] = []
    for contact in ui.db.rows("contacts", "name"):
        rows.append(Item(contact["name"], on_tap=partial(to, contact["phone"])))
    return Screen("Forward to", rows)


def _delete(ui: Context) -> Screen:
    number = ui.arg("number", "")

    def delete() -> None:
        for row in ui.db.rows("messages", number=number):
            ui.db.delete("messages", row["id"])
        ui.phone.pop()
        ui.phone.say("Deleted")

    title = f"Delete conversation with {correspondent(ui.db, number)}?"
    return dialog(title, Button("Delete", delete), Button("Cancel", ui.closes()))


def _populate(store: Store, random: Random) -> None:
    contacts = store.rows("contacts")
    numbers = [row["phone"] for row in random.sample(contacts, random.randint(3, 4))]
    for number in [*numbers, words.telephone(random)]:
        for text in random.sample(words.SENTENCES, random.randint(1, 3)):
            store.insert("messages", number=number, text=text, outgoing=int(random.random() < 0.3))


def to_thread(store: Store, number: str) -> Route:
    """Return the way to a conversation that there is."""
    here = Stage("thread", lambda scene: None, {"number": number})
    return Route("Messages", (Stage("main", tap(correspondent(store, number))), here))


def _routes(store: Store, change: Change) -> Route | None:
    if change.before is None:
        return _to_send(store, dict(change.after or {}))
    number, text = str(change.before["number"]), str(change.before["text"])
    title = correspondent(store, number)
    if change.after is None and len(store.rows("messages", number=number)) == 1:
        ask = Stage("delete", tap("Delete"), {"number": number})
        return Route("Messages", (Stage("main", hold(title)), ask))
    action = "Delete"
    if set(change.changed) == {"starred"}:
        action = "Star" if change.changed["starred"] else "Remove star"
    elif change.after is not None and not change.before["outgoing"]:
        return None  # what others wrote cannot be written again
    stages = (
        Stage("main", tap(title)),
        Stage("thread", hold(text), {"number": number}),
        Stage("message", tap(action), {"id": change.row_id}),
    )
    return Route("Messages", stages)


def _to_send(store: Store, row: dict[str, str | int]) -> Route | None:
    number, text = str(row["number"]), str(row["text"])
    if not row["outgoing"]:
        return None
    write = fill({"Message": text}, tap("Send"))
    thread = Stage("thread", write, {"number": number})
    if store.rows("messages", number=number):
        return Route("Messages", (Stage("main", tap(correspondent(store, number))), thread))
    new = Stage("new", fill({"To": correspondent(store, number), "Message": text}, tap("Send")))
    return Route("Messages", (Stage("main", tap("New")), new, thread))


APP = App(
    "Messages",
    "#1f8fa8",
    {
        "main": _main,
        "thread": _thread,
        "new": _new,
        "message": _message,
        "forward": _forward,
        "delete": _delete,
    },
    (TABLE,),
    _populate,
    _routes,
)
