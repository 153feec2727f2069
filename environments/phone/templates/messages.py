"""Tasks with messages."""

from __future__ import annotations

from agentgym.environments.phone import words
from agentgym.environments.phone.apps.messages import correspondent, to_thread
from agentgym.environments.phone.goals import Goal
from agentgym.environments.phone.store import Row
from agentgym.environments.phone.templates.draft import Draft, Family, Level

FAMILY = Family("Messages")
template = FAMILY.template


def known(draft: Draft) -> Row:
    """Return the last message of a conversation with a contact."""
    contacts = {row["phone"] for row in draft.store.rows("contacts")}
    last = {row["number"]: row for row in draft.store.rows("messages") if row["number"] in contacts}
    return last[draft.choice(sorted(last))]


def sentence(draft: Draft) -> str:
    """Return something to write that nobody wrote yet."""
    return draft.fresh("messages", "text", words.SENTENCES)


@template("messages_send", Level.MEDIUM)
def _send(draft: Draft) -> Goal:
    row, text = draft.one("contacts"), sentence(draft)
    draft.add("messages", number=row["phone"], text=text, outgoing=1)
    return draft.goal(
        'send {name} the message "{text}"', 'write "{text}" to {name}', name=row["name"], text=text
    )


@template("messages_send_number", Level.MEDIUM)
def _send_number(draft: Draft) -> Goal:
    number, text = draft.fresh("messages", "number", words.telephone), sentence(draft)
    draft.add("messages", number=number, text=text, outgoing=1)
    return draft.goal('send the message "{text}" to the number {number}', number=number, text=text)


@template("messages_reply", Level.MEDIUM)
def _reply(draft: Draft) -> Goal:
    row, text = known(draft), sentence(draft)
    draft.add("messages", number=row["number"], text=text, outgoing=1)
    name = correspondent(draft.store, row["number"])
    return draft.goal('reply to {name} with "{text}"', name=name, text=text)


@template("messages_delete_conversation", Level.EASY)
def _delete_conversation(draft: Draft) -> Goal:
    number = known(draft)["number"]
    for row in draft.store.rows("messages", number=number):
        draft.remove("messages", row)
    return draft.goal(
        "delete the conversation with {name}",
        "remove all messages with {name}",
        name=correspondent(draft.store, number),
    )


@template("messages_delete_last", Level.EASY, heldout=True)
def _delete_last(draft: Draft) -> Goal:
    row = known(draft)
    draft.remove("messages", row)
    name = correspondent(draft.store, row["number"])
    return draft.goal("delete the latest message in the conversation with {name}", name=name)


@template("messages_star", Level.EASY)
def _star(draft: Draft) -> Goal:
    row = known(draft)
    draft.change("messages", row, starred=1)
    name = correspondent(draft.store, row["number"])
    return draft.goal("star the latest message in the conversation with {name}", name=name)


@template("messages_forward", Level.MEDIUM)
def _forward(draft: Draft) -> Goal:
    row = known(draft)
    to = draft.random.choice([c for c in draft.store.rows("contacts") if c["phone"] != row["number"]])
    draft.read(to_thread(draft.store, row["number"]))
    draft.add("messages", number=to["phone"], text=row["text"], outgoing=1)
    name = correspondent(draft.store, row["number"])
    return draft.goal("forward the latest message with {name} to {to}", name=name, to=to["name"])


@template("messages_answer", Level.MEDIUM)
def _answer(draft: Draft) -> Goal:
    row = known(draft)
    draft.read(to_thread(draft.store, row["number"]))
    name = correspondent(draft.store, row["number"])
    return draft.goal("answer what the latest message with {name} says", name=name, answer=row["text"])
