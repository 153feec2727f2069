"""What no application owns: the home screen, the notification shade, and dialogs that come unasked."""

from __future__ import annotations

from functools import partial
from random import Random

from agentgym.environments.phone.app import App, Context
from agentgym.environments.phone.apps.collection import dialog
from agentgym.environments.phone.apps.settings import switch
from agentgym.environments.phone.store import Store, Table
from agentgym.environments.phone.ui.widgets import Button, Grid, Icon, Item, Screen, Text, Widget

# Notifications come and go; none of what they say matters to a task.
TABLE = Table("notifications", {"app": "", "title": "", "text": ""}, frozenset({"app", "title", "text"}))
DIALOGS = {
    "battery": ("Battery low", "15% of the battery is left", "OK"),
    "update": ("System update", "An update can be installed", "Later"),
    "rate": ("Do you like this application?", "Rate it in the store", "Not now"),
    "crash": ("Keyboard keeps stopping", "", "Close"),
    "storage": ("Storage almost full", "Some functions may not work", "Dismiss"),
}
NOTIFICATIONS = (
    ("Calendar", "Reminder", "An event begins soon"),
    ("Shop", "Sale", "Everything is cheaper today"),
    ("Clock", "Bedtime", "Time to wind down"),
    ("Contacts", "Birthday", "Somebody has a birthday today"),
    ("Settings", "Wi-Fi", "Open networks are near"),
)


def _home(ui: Context) -> Screen:
    apps = ui.phone.installed()
    return Screen(
        f"Home {ui.phone.today}",
        [Grid([Icon(app.name, ui.opens("main", app=app.name), app.tint) for app in apps])],
    )


def _shade(ui: Context) -> Screen:
    rows: list[Widget] = [switch(ui, name) for name in ("Wi-Fi", "Bluetooth", "Do not disturb")]
    notes = ui.db.rows("notifications")

    def take(row_id: int, app: str) -> None:
        ui.db.delete("notifications", row_id)
        ui.phone.open(app)

    def clear() -> None:
        for row in notes:
            ui.db.delete("notifications", row["id"])

    for row in notes:
        rows.append(Item(f"{row['app']}: {row['title']}", row["text"], partial(take, row["id"], row["app"])))
    if notes:
        rows.append(Button("Clear all", clear))
    else:
        rows.append(Text("No notifications"))
    return Screen("Notifications", rows)


def _unasked(name: str, ui: Context) -> Screen:
    title, text, button = DIALOGS[name]
    return dialog(title, Button(button, ui.closes()), text=text)


def _populate(store: Store, random: Random) -> None:
    for app, title, text in random.sample(NOTIFICATIONS, 2):
        store.insert("notifications", app=app, title=title, text=text)


HOME = App("home", "", {"main": _home})
SYSTEM = App(
    "system",
    "",
    {"shade": _shade, **{name: partial(_unasked, name) for name in DIALOGS}},
    (TABLE,),
    _populate,
)
