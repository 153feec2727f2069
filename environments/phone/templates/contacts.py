"""Tasks with contacts."""

from __future__ import annotations

from agentgym.environments.phone import words
from agentgym.environments.phone.apps.contacts import CONTACTS
from agentgym.environments.phone.expert import Route, Stage
from agentgym.environments.phone.goals import Goal
from agentgym.environments.phone.templates.draft import Draft, Family, Level

FAMILY = Family("Contacts")
template = FAMILY.template


@template("contacts_add", Level.MEDIUM)
def _add(draft: Draft) -> Goal:
    name, phone = draft.fresh("contacts", "name", words.person), words.telephone(draft.random)
    draft.add("contacts", name=name, phone=phone)
    return draft.goal(
        "create a contact {name} with the number {phone}",
        "add {name}, {phone}, to the contacts",
        name=name,
        phone=phone,
    )


@template("contacts_add_with_email", Level.MEDIUM)
def _add_with_email(draft: Draft) -> Goal:
    name, phone = draft.fresh("contacts", "name", words.person), words.telephone(draft.random)
    email = words.email(name, draft.random)
    draft.add("contacts", name=name, phone=phone, email=email)
    return draft.goal(
        "create a contact {name} with the number {phone} and the email address {email}",
        name=name,
        phone=phone,
        email=email,
    )


@template("contacts_delete", Level.EASY)
def _delete(draft: Draft) -> Goal:
    row = draft.one("contacts")
    draft.remove("contacts", row)
    return draft.goal("delete the contact {name}", "remove {name} from the contacts", name=row["name"])


@template("contacts_delete_two", Level.MEDIUM)
def _delete_two(draft: Draft) -> Goal:
    one, other = draft.some("contacts", 2)
    draft.remove("contacts", one)
    draft.remove("contacts", other)
    return draft.goal("delete the contacts {one} and {other}", one=one["name"], other=other["name"])


@template("contacts_change_number", Level.MEDIUM)
def _change_number(draft: Draft) -> Goal:
    row, phone = draft.one("contacts"), draft.fresh("contacts", "phone", words.telephone)
    draft.change("contacts", row, phone=phone)
    return draft.goal(
        "change the number of the contact {name} to {phone}",
        "save {phone} as the new number of {name}",
        name=row["name"],
        phone=phone,
    )


@template("contacts_change_email", Level.MEDIUM)
def _change_email(draft: Draft) -> Goal:
    row = draft.one("contacts", email="")
    email = words.email(row["name"], draft.random)
    draft.change("contacts", row, email=email)
    return draft.goal("add the email address {email} to the contact {name}", name=row["name"], email=email)


@template("contacts_rename", Level.MEDIUM, heldout=True)
def _rename(draft: Draft) -> Goal:
    row, name = draft.one("contacts"), draft.fresh("contacts", "name", words.person)
    draft.change("contacts", row, name=name)
    return draft.goal("rename the contact {old} to {new}", old=row["name"], new=name)


@template("contacts_favourite", Level.EASY)
def _favourite(draft: Draft) -> Goal:
    row = draft.one("contacts", favourite=0)
    draft.change("contacts", row, favourite=1)
    return draft.goal(
        "make the contact {name} a favourite", "mark {name} as a favourite contact", name=row["name"]
    )


@template("contacts_unfavourite", Level.EASY)
def _unfavourite(draft: Draft) -> Goal:
    row = draft.one("contacts", favourite=1)
    draft.change("contacts", row, favourite=0)
    return draft.goal("make the contact {name} no favourite any more", name=row["name"])


@template("contacts_answer_number", Level.MEDIUM)
def _answer_number(draft: Draft) -> Goal:
    row = draft.one("contacts")
    draft.read(CONTACTS.to_see(row))
    return draft.goal(
        "answer what the number of the contact {name} is", name=row["name"], answer=row["phone"]
    )


@template("contacts_missing", Level.MEDIUM)
def _missing(draft: Draft) -> Goal:
    firsts = {row["name"].split()[0] for row in draft.store.rows("contacts")}
    name = draft.choice([first for first in words.FIRST_NAMES if first not in firsts])
    draft.read(Route("Contacts", (Stage("main", lambda scene: None),)), to_end=True)
    return draft.goal("delete the contact {name}", name=f"{name} Ito", infeasible=True)
