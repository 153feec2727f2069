"""Contacts: people with a telephone number, an email address and a star."""

from __future__ import annotations

from random import Random

from agentgym.environments.phone import words
from agentgym.environments.phone.app import App, Context
from agentgym.environments.phone.apps import checks
from agentgym.environments.phone.apps.collection import Collection, FormField, Toggle
from agentgym.environments.phone.store import Row, Store, Table
from agentgym.environments.phone.ui.widgets import Button, Widget

TABLE = Table("contacts", {"name": "", "phone": "", "email": "", "favourite": 0})


def _message(ui: Context, row: Row) -> list[Widget]:
    return [Button("Message", ui.opens("thread", app="Messages", number=row["phone"]))]


CONTACTS = Collection(
    app="Contacts",
    table="contacts",
    noun="contact",
    fields=(
        FormField("Name", "name", required=True),
        FormField("Phone", "phone", required=True, check=checks.telephone),
        FormField("Email", "email", check=checks.email),
    ),
    toggles=(Toggle("Favourite", "favourite"),),
    detail=lambda row: "favourite" if row["favourite"] else "",
    order="name",
    search=True,
    extra=_message,
)


def _populate(store: Store, random: Random) -> None:
    for name in words.people(random, random.randint(5, 9)):
        address = words.email(name, random) if random.random() < 0.5 else ""
        store.insert(
            "contacts",
            name=name,
            phone=words.telephone(random),
            email=address,
            favourite=int(random.random() < 0.3),
        )


APP = App(
    "Contacts",
    "#3b6fd4",
    CONTACTS.screens(),
    (TABLE,),
    _populate,
    CONTACTS.routes,
)
