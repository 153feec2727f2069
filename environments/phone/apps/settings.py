"""Settings: switches, sliders, choices and a name by section, and the Wi-Fi networks."""

from __future__ import annotations

from functools import partial
from random import Random

from agentgym.environments.phone import words
from agentgym.environments.phone.app import App, Change, Context
from agentgym.environments.phone.apps.collection import choose, dialog
from agentgym.environments.phone.expert import Route, Stage, fill, slide, tap
from agentgym.environments.phone.store import Row, Store, Table
from agentgym.environments.phone.ui.widgets import Button, Item, Screen, Slider, Switch, Widget

SWITCHES = {
    "Network": ("Wi-Fi", "Bluetooth", "Airplane mode", "Mobile data"),
    "Display": ("Dark theme", "Night light", "Auto-rotate"),
    "Sound": ("Vibrate", "Do not disturb"),
    "System": ("Battery saver", "Location", "Developer mode"),
}
SLIDERS = {"Display": ("Brightness",), "Sound": ("Media volume", "Ring volume", "Alarm volume")}
CHOICES = {
    "Text size": ("Display", ("Small", "Default", "Large", "Largest")),
    "Screen timeout": ("Display", ("15 seconds", "30 seconds", "1 minute", "5 minutes")),
    "Ringtone": ("Sound", ("Chime", "Marimba", "Waves", "Classic")),
    "Language": ("System", ("English", "Deutsch", "Espanol", "Francais")),
}
NAME = "Device name"
TABLES = (
    Table("settings", {"name": "", "value": ""}),
    Table("networks", {"name": "", "password": "", "connected": 0}, frozenset({"password"})),
)


def section_of(setting: str) -> str:
    """Return where a setting stands."""
    if setting in CHOICES:
        return CHOICES[setting][0]
    for group in (SWITCHES, SLIDERS):
        for section, names in group.items():
            if setting in names:
                return section
    return "System"


def _main(ui: Context) -> Screen:
    return Screen("Settings", [Item(section, on_tap=ui.opens(section)) for section in SWITCHES])


def _section(section: str, ui: Context) -> Screen:
    rows: list[Widget] = []
    for name in SWITCHES[section]:
        rows.append(switch(ui, name))
    for name in SLIDERS.get(section, ()):
        row = _setting(ui, name)
        rows.append(Slider(name, int(row["value"]), partial(_slide, ui, row["id"])))
    for name, (place, _) in CHOICES.items():
        if place == section:
            row = _setting(ui, name)
            rows.append(Item(name, row["value"], ui.opens("choice", id=row["id"])))
    if section == "Network":
        rows += [
            Item(row["name"], "connected" if row["connected"] else "", ui.opens("network", id=row["id"]))
            for row in ui.db.rows("networks", "name")
        ]
    if section == "System":
        row = _setting(ui, NAME)
        rows.append(Item(NAME, row["value"], ui.opens("name", id=row["id"])))
    return Screen(section, rows)


def _setting(ui: Context, name: str) -> Row:
    return ui.db.rows("settings", name=name)[0]


def _slide(ui: Context, row_id: int, share: float) -> None:
    ui.db.update("settings", row_id, value=str(round(100 * share)))


def switch(ui: Context, name: str) -> Switch:
    """Return the switch of a setting."""
    row = _setting(ui, name)
    on = row["value"] == "on"
    return Switch(name, on, ui.sets("settings", row["id"], value="off" if on else "on"))


def _choice(ui: Context) -> Screen:
    row = ui.row("settings")
    return choose(ui, row["name"], CHOICES[row["name"]][1], row["value"], "settings", row, "value")


def _name(ui: Context) -> Screen:
    row = ui.row("settings")

    def save() -> None:
        if not ui.typed("Name"):
            return ui.phone.say("Name is missing")
        ui.db.update("settings", row["id"], value=ui.typed("Name"))
        return ui.phone.pop()

    rows = [ui.field("Name", row["value"]), Button("Save", save)]
    return Screen(NAME, rows, dialog=True, typing=True)


def _network(ui: Context) -> Screen:
    row = ui.row("networks")
    if row["connected"]:
        leave = ui.sets("networks", row["id"], connected=0)
        return dialog(row["name"], Button("Disconnect", leave), Button("Close", ui.closes()))

    def connect() -> None:
        if ui.typed("Password") != row["password"]:
            return ui.phone.say("The password is wrong")
        for other in ui.db.rows("networks", connected=1):
            ui.db.update("networks", other["id"], connected=0)
        ui.db.update("networks", row["id"], connected=1)
        return ui.phone.pop()

    rows = [ui.field("Password", password=True), Button("Connect", connect)]
    return Screen(row["name"], rows, dialog=True, typing=True)


def _populate(store: Store, random: Random) -> None:
    for names in SWITCHES.values():
        for name in names:
            store.insert("settings", name=name, value=random.choice(["on", "off"]))
    for names in SLIDERS.values():
        for name in names:
            store.insert("settings", name=name, value=str(10 * random.randrange(11)))
    for name, (_, options) in CHOICES.items():
        store.insert("settings", name=name, value=random.choice(options))
    store.insert("settings", name=NAME, value=random.choice(words.DEVICE_NAMES))
    networks = random.sample(words.NETWORKS, 3)
    for name in networks:
        password = f"{random.choice(words.GOODS)}{random.randrange(100, 1000)}"
        store.insert("networks", name=name, password=password, connected=int(name == networks[0]))


def to_section(section: str) -> Route:
    """Return the way to a section."""
    return Route("Settings", (Stage("main", tap(section)), Stage(section, lambda scene: None)))


def _routes(store: Store, change: Change) -> Route | None:
    if change.before is None or change.after is None:
        return None
    name, args = str(change.before["name"]), {"id": change.row_id}
    if change.table == "networks":
        if not change.after["connected"]:
            last = Stage("network", tap("Disconnect"), args)
        else:
            password = store.rows("networks", id=change.row_id)[0]["password"]
            last = Stage("network", fill({"Password": password}, tap("Connect")), args)
        return _route("Network", Stage("Network", tap(name)), last)
    section, wanted = section_of(name), str(change.after["value"])
    if name in CHOICES:
        return _route(section, Stage(section, tap(name)), Stage("choice", tap(wanted), args))
    if name == NAME:
        return _route(
            section, Stage(section, tap(name)), Stage("name", fill({"Name": wanted}, tap("Save")), args)
        )
    if name in SLIDERS.get(section, ()):
        return _route(section, Stage(section, slide(name, int(wanted))))
    return _route(section, Stage(section, tap(name)))


def _route(section: str, *stages: Stage) -> Route:
    return Route("Settings", (Stage("main", tap(section)), *stages))


APP = App(
    "Settings",
    "#5f6b7a",
    {
        "main": _main,
        **{section: partial(_section, section) for section in SWITCHES},
        "choice": _choice,
        "name": _name,
        "network": _network,
    },
    TABLES,
    _populate,
    _routes,
)
