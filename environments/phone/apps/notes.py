"""Notes: a title, a text, a colour, and pinned ones first."""

from __future__ import annotations

from random import Random

from agentgym.environments.phone import words
from agentgym.environments.phone.app import App
from agentgym.environments.phone.apps.collection import Choice, Collection, FormField, Toggle
from agentgym.environments.phone.store import Store, Table

COLOURS = ("White", "Yellow", "Green", "Pink")
TABLE = Table("notes", {"title": "", "text": "", "pinned": 0, "colour": "White"})
NOTES = Collection(
    app="Notes",
    table="notes",
    noun="note",
    fields=(FormField("Title", "title", required=True), FormField("Text", "text")),
    toggles=(Toggle("Pinned", "pinned"),),
    choices=(Choice("Colour", "colour", COLOURS),),
    detail=lambda row: "pinned" if row["pinned"] else "",
    order="pinned DESC, title",
    held=True,
)


def _populate(store: Store, random: Random) -> None:
    for title in random.sample(words.NOTE_TITLES, random.randint(4, 8)):
        store.insert(
            "notes",
            title=title,
            text=random.choice(words.NOTE_TEXTS),
            pinned=int(random.random() < 0.3),
            colour=random.choice(COLOURS),
        )


APP = App("Notes", "#c99a1b", NOTES.screens(), (TABLE,), _populate, NOTES.routes)
