"""Clock: alarms, timers and the cities whose time is shown."""

from __future__ import annotations

from random import Random

from agentgym.environments.phone import words
from agentgym.environments.phone.app import App, Change, Context
from agentgym.environments.phone.apps import checks
from agentgym.environments.phone.apps.collection import Collection, FormField, Toggle
from agentgym.environments.phone.expert import Route, Stage, tap
from agentgym.environments.phone.store import Store, Table
from agentgym.environments.phone.ui.widgets import Item, Screen

TABLES = (
    Table("alarms", {"time": "", "label": "", "enabled": 1}),
    Table("timers", {"name": "", "minutes": "", "running": 0}),
    Table("cities", {"name": ""}),
)
ALARMS = Collection(
    app="Clock",
    table="alarms",
    noun="alarm",
    fields=(
        FormField("Time", "time", required=True, check=checks.time_of_day),
        FormField("Label", "label"),
    ),
    toggles=(Toggle("Enabled", "enabled"),),
    title="Alarms",
    detail=lambda row: f"{row['label'] or 'alarm'}, {'on' if row['enabled'] else 'off'}",
    order="time",
    list_screen="alarms",
    held=True,
    path=(Stage("main", tap("Alarms")),),
)
TIMERS = Collection(
    app="Clock",
    table="timers",
    noun="timer",
    fields=(
        FormField("Name", "name", required=True),
        FormField("Minutes", "minutes", required=True, check=checks.minutes),
    ),
    toggles=(Toggle("Running", "running"),),
    title="Timers",
    detail=lambda row: f"{row['minutes']} minutes{', running' if row['running'] else ''}",
    list_screen="timers",
    path=(Stage("main", tap("Timers")),),
)
CITIES = Collection(
    app="Clock",
    table="cities",
    noun="city",
    fields=(FormField("City", "name", required=True),),
    title="World clock",
    order="name",
    list_screen="cities",
    held=True,
    path=(Stage("main", tap("World clock")),),
)


def _main(ui: Context) -> Screen:
    rows = [
        Item("Alarms", f"{len(ui.db.rows('alarms'))} set", ui.opens("alarms")),
        Item("Timers", "", ui.opens("timers")),
        Item("World clock", "", ui.opens("cities")),
    ]
    return Screen("Clock", rows)


def _populate(store: Store, random: Random) -> None:
    labels = random.sample(["Wake up", "Medicine", "Bus", "School", "Gym", ""], 4)
    times: dict[str, None] = {}
    while len(times) < 4:
        times.setdefault(words.time(random))
    for time, label in list(zip(times, labels, strict=True))[: random.randint(2, 4)]:
        store.insert("alarms", time=time, label=label, enabled=random.randrange(2))
    for name in random.sample(["Tea", "Pasta", "Laundry", "Break", "Oven"], random.randint(1, 3)):
        store.insert("timers", name=name, minutes=str(random.randint(2, 59)), running=0)
    for city in random.sample(words.CITIES, random.randint(2, 4)):
        store.insert("cities", name=city)


def _routes(store: Store, change: Change) -> Route | None:
    for collection in (ALARMS, TIMERS, CITIES):
        route = collection.routes(store, change)
        if route is not None:
            return route
    return None


APP = App(
    "Clock",
    "#5a4fcf",
    {"main": _main, **ALARMS.screens(), **TIMERS.screens(), **CITIES.screens()},
    TABLES,
    _populate,
    _routes,
)
