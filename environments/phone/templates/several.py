"""Tasks over several applications: what is read in one is used in another."""

from __future__ import annotations

from agentgym.environments.phone import words
from agentgym.environments.phone.apps.calendar import EVENTS
from agentgym.environments.phone.apps.contacts import CONTACTS
from agentgym.environments.phone.apps.messages import correspondent, to_thread
from agentgym.environments.phone.apps.notes import NOTES
from agentgym.environments.phone.apps.shop import at_product
from agentgym.environments.phone.apps.todo import TODOS
from agentgym.environments.phone.goals import Goal
from agentgym.environments.phone.templates.draft import Draft, Family, Level
from agentgym.environments.phone.templates.messages import known, sentence

FAMILY = Family()
template = FAMILY.template


@template("several_send_number", Level.HARD)
def _send_number(draft: Draft) -> Goal:
    whose, to = draft.some("contacts", 2)
    draft.read(CONTACTS.to_see(whose))
    draft.add("messages", number=to["phone"], text=whose["phone"], outgoing=1)
    return draft.goal(
        "send {to} a message with the number of {whose} and nothing else",
        to=to["name"],
        whose=whose["name"],
    )


@template("several_note_to_message", Level.HARD)
def _note_to_message(draft: Draft) -> Goal:
    note, to = draft.one("notes"), draft.one("contacts")
    draft.read(NOTES.to_see(note))
    draft.add("messages", number=to["phone"], text=note["text"], outgoing=1)
    return draft.goal(
        'send {to} a message with the text of the note "{title}"', to=to["name"], title=note["title"]
    )


@template("several_message_to_note", Level.HARD)
def _message_to_note(draft: Draft) -> Goal:
    message, title = known(draft), draft.fresh("notes", "title", words.NOTE_TITLES)
    name = correspondent(draft.store, message["number"])
    draft.read(to_thread(draft.store, message["number"]))
    draft.add("notes", title=title, text=message["text"])
    return draft.goal(
        'write a note "{title}" with the text of the latest message with {name}', title=title, name=name
    )


@template("several_event_to_alarm", Level.HARD)
def _event_to_alarm(draft: Draft) -> Goal:
    event = draft.one("events", time=draft.fresh("alarms", "time", words.time))
    draft.read(EVENTS.to_see(event))
    draft.add("alarms", time=event["time"], label=event["title"])
    return draft.goal(
        'set an alarm for the time of the event "{title}", labelled "{title}"', title=event["title"]
    )


@template("several_save_sender", Level.HARD)
def _save_sender(draft: Draft) -> Goal:
    contacts = {row["phone"] for row in draft.store.rows("contacts")}
    stranger = [row for row in draft.store.rows("messages") if row["number"] not in contacts][-1]
    name = draft.fresh("contacts", "name", words.person)
    draft.read(to_thread(draft.store, stranger["number"]))
    draft.add("contacts", name=name, phone=stranger["number"])
    return draft.goal(
        "save the number in the messages that has no name as a contact called {name}", name=name
    )


@template("several_task_to_event", Level.HARD)
def _task_to_event(draft: Draft) -> Goal:
    task, time = draft.one("todos", due=words.date(draft.random)), words.time(draft.random)
    draft.read(TODOS.to_see(task))
    draft.add("events", title=task["title"], date=task["due"], time=time)
    return draft.goal(
        'add an event "{title}" at {time} on the day on which the task "{title}" is due',
        title=task["title"],
        time=time,
    )


@template("several_price_to_note", Level.HARD)
def _price_to_note(draft: Draft) -> Goal:
    product, title = draft.one("products"), draft.fresh("notes", "title", words.NOTE_TITLES)
    draft.read(at_product(product, lambda scene: None))
    draft.add("notes", title=title, text=str(product["price"]))
    return draft.goal(
        'write a note "{title}" whose text is the price of the {name} in dollars, as a number',
        title=title,
        name=product["name"],
    )


@template("several_finish_task", Level.HARD)
def _finish_task(draft: Draft) -> Goal:
    task, to, text = draft.one("todos", done=0), draft.one("contacts"), sentence(draft)
    draft.change("todos", task, done=1)
    draft.add("messages", number=to["phone"], text=text, outgoing=1)
    return draft.goal(
        'mark the task "{title}" as done and then send {to} the message "{text}"',
        title=task["title"],
        to=to["name"],
        text=text,
    )


@template("several_quiet_evening", Level.HARD)
def _quiet_evening(draft: Draft) -> Goal:
    time = draft.fresh("alarms", "time", words.time)
    row = draft.store.rows("settings", name="Do not disturb")[0]
    draft.change("settings", draft.arrange("settings", row, value="off"), value="on")
    draft.add("alarms", time=time)
    return draft.goal("turn Do not disturb on and set an alarm for {time}", time=time)


@template("several_delete_traces", Level.HARD, heldout=True)
def _delete_traces(draft: Draft) -> Goal:
    message = known(draft)
    contact = draft.store.rows("contacts", phone=message["number"])[0]
    for row in draft.store.rows("messages", number=message["number"]):
        draft.remove("messages", row)
    draft.remove("contacts", contact)
    return draft.goal(
        "delete the conversation with {name}, and then the contact {name}", name=contact["name"]
    )


@template("several_invite", Level.HARD, heldout=True)
def _invite(draft: Draft) -> Goal:
    event, to = draft.one("events"), draft.one("contacts")
    draft.read(EVENTS.to_see(event))
    text = f"{event['title']}: {event['date']} {event['time']}"
    draft.add("messages", number=to["phone"], text=text, outgoing=1)
    return draft.goal(
        'send {to} the date and time of the event "{title}", written like "{title}: 2026-05-14 07:30"',
        to=to["name"],
        title=event["title"],
    )


@template("several_note_shopping", Level.HARD, heldout=True)
def _note_shopping(draft: Draft) -> Goal:
    product = draft.one("products", wished=0)
    note = draft.one("notes", text=f"Remember the {product['name']}")
    draft.read(NOTES.to_see(note))
    draft.change("products", product, wished=1)
    return draft.goal(
        'put the product that the note "{title}" is about on the wish list', title=note["title"]
    )
