"""Tasks in the settings."""

from __future__ import annotations

from agentgym.environments.phone import words
from agentgym.environments.phone.apps import settings
from agentgym.environments.phone.goals import Goal
from agentgym.environments.phone.store import Row
from agentgym.environments.phone.templates.draft import Draft, Family, Level

FAMILY = Family("Settings")
template = FAMILY.template

_SWITCHES = [name for names in settings.SWITCHES.values() for name in names]
_SLIDERS = [name for names in settings.SLIDERS.values() for name in names]


def _setting(draft: Draft, name: str) -> Row:
    return draft.store.rows("settings", name=name)[0]


def _flip(draft: Draft, name: str) -> str:
    """Ask for the other position of a switch, and return it."""
    row = _setting(draft, name)
    wanted = "off" if row["value"] == "on" else "on"
    draft.change("settings", row, value=wanted)
    return wanted


@template("settings_switch", Level.EASY)
def _switch(draft: Draft) -> Goal:
    name = draft.choice(_SWITCHES)
    return draft.goal("turn {name} {on}", "switch {on} {name}", name=name, on=_flip(draft, name))


@template("settings_two_switches", Level.MEDIUM)
def _two_switches(draft: Draft) -> Goal:
    one, other = draft.random.sample(_SWITCHES, 2)
    return draft.goal(
        "turn {one} {first} and {other} {second}",
        one=one,
        first=_flip(draft, one),
        other=other,
        second=_flip(draft, other),
    )


@template("settings_slider", Level.EASY)
def _slider(draft: Draft) -> Goal:
    row = _setting(draft, draft.choice(_SLIDERS))
    value = draft.choice([str(10 * tenth) for tenth in range(11)], row["value"])
    draft.change("settings", row, value=value)
    return draft.goal("set the {name} to {value}", name=row["name"].lower(), value=value)


@template("settings_extreme", Level.EASY, heldout=True)
def _extreme(draft: Draft) -> Goal:
    row = _setting(draft, draft.choice(_SLIDERS))
    most = draft.random.random() < 0.5
    value = "100" if most else "0"
    row = draft.arrange("settings", row, value="70" if most else "30")
    draft.change("settings", row, value=value)
    return draft.goal(
        "turn the {name} all the way {way}", name=row["name"].lower(), way="up" if most else "down"
    )


@template("settings_choice", Level.EASY)
def _choice(draft: Draft) -> Goal:
    name = draft.choice(list(settings.CHOICES))
    row = _setting(draft, name)
    value = draft.choice(settings.CHOICES[name][1], row["value"])
    draft.change("settings", row, value=value)
    return draft.goal("set the {name} to {value}", "choose {value} as {name}", name=name.lower(), value=value)


@template("settings_device_name", Level.MEDIUM)
def _device_name(draft: Draft) -> Goal:
    row = _setting(draft, settings.NAME)
    name = draft.choice(words.DEVICE_NAMES, row["value"])
    draft.change("settings", row, value=name)
    return draft.goal("rename the phone to {name}", "give the device the name {name}", name=name)


@template("settings_join_network", Level.MEDIUM)
def _join(draft: Draft) -> Goal:
    network = draft.random.choice(draft.store.rows("networks", connected=0))
    for other in draft.store.rows("networks", connected=1):
        draft.change("networks", other, connected=0)
    draft.change("networks", network, connected=1)
    return draft.goal(
        "connect to the network {name} with the password {password}",
        name=network["name"],
        password=network["password"],
    )


@template("settings_leave_network", Level.EASY)
def _leave(draft: Draft) -> Goal:
    network = draft.store.rows("networks", connected=1)[0]
    draft.change("networks", network, connected=0)
    return draft.goal("disconnect from the network {name}", "leave the network {name}", name=network["name"])


@template("settings_answer", Level.MEDIUM)
def _answer(draft: Draft) -> Goal:
    name = draft.choice(list(settings.CHOICES))
    draft.read(settings.to_section(settings.section_of(name)))
    return draft.goal(
        "answer what the {name} is set to", name=name.lower(), answer=_setting(draft, name)["value"]
    )


@template("settings_everything_off", Level.MEDIUM, heldout=True)
def _everything_off(draft: Draft) -> Goal:
    section = draft.choice(list(settings.SWITCHES))
    for name in settings.SWITCHES[section]:
        row = draft.arrange("settings", _setting(draft, name), value="on")
        draft.change("settings", row, value="off")
    return draft.goal("turn off every switch in the section {section} of the settings", section=section)
