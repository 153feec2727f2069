"""Tasks: what is to be done, by when, how urgently, and what is done already."""

from __future__ import annotations

from random import Random

from agentgym.environments.phone import words
from agentgym.environments.phone.app import App
from agentgym.environments.phone.apps import checks
from agentgym.environments.phone.apps.collection import Choice, Collection, FormField, Toggle
from agentgym.environments.phone.store import Store, Table

PRIORITIES = ("Low", "Normal", "High")
LISTS = ("Home", "Work", "Club")
TABLE = Table("todos", {"title": "", "due": "", "done": 0, "priority": "Normal", "list": "Home"})
TODOS = Collection(
    app="Tasks",
    table="todos",
    noun="task",
    fields=(FormField("Title", "title", required=True), FormField("Due", "due", check=checks.day)),
    toggles=(Toggle("Done", "done"),),
    choices=(Choice("Priority", "priority", PRIORITIES), Choice("List", "list", LISTS)),
    detail=lambda row: "done" if row["done"] else "",
    order="done, title",
)


def _populate(store: Store, random: Random) -> None:
    for title in random.sample(words.ERRANDS, random.randint(4, 8)):
        store.insert(
            "todos",
            title=title,
            due=words.date(random) if random.random() < 0.5 else "",
            done=int(random.random() < 0.3),
            priority=random.choice(PRIORITIES),
            list=random.choice(LISTS),
        )


APP = App("Tasks", "#2f9e6b", TODOS.screens(), (TABLE,), _populate, TODOS.routes)
