"""Calendar: events on a day at a time, at a place, with a reminder."""

from __future__ import annotations

from random import Random

from agentgym.environments.phone import words
from agentgym.environments.phone.app import App
from agentgym.environments.phone.apps import checks
from agentgym.environments.phone.apps.collection import Choice, Collection, FormField
from agentgym.environments.phone.store import Store, Table

REMINDERS = ("None", "10 minutes", "1 hour", "1 day")
TABLE = Table("events", {"title": "", "date": "", "time": "", "place": "", "reminder": "None"})
EVENTS = Collection(
    app="Calendar",
    table="events",
    noun="event",
    fields=(
        FormField("Title", "title", required=True),
        FormField("Date", "date", required=True, check=checks.day),
        FormField("Time", "time", required=True, check=checks.time_of_day),
        FormField("Place", "place"),
    ),
    choices=(Choice("Reminder", "reminder", REMINDERS),),
    detail=lambda row: f"{row['date']} {row['time']}",
    order="date, time",
)


def _populate(store: Store, random: Random) -> None:
    for title in random.sample(words.EVENTS, random.randint(4, 9)):
        store.insert(
            "events",
            title=title,
            date=words.date(random),
            time=words.time(random),
            place=random.choice([*words.PLACES, ""]),
            reminder=random.choice(REMINDERS),
        )


APP = App("Calendar", "#d4573b", EVENTS.screens(), (TABLE,), _populate, EVENTS.routes)
