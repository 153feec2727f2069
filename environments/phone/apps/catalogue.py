"""Which applications there are, and phones filled for a task."""

from __future__ import annotations

from random import Random

from agentgym.environments.phone import words
from agentgym.environments.phone.apps import (
    calendar,
    clock,
    contacts,
    files,
    messages,
    music,
    notes,
    settings,
    shop,
    system,
    todo,
)
from agentgym.environments.phone.device import Device
from agentgym.environments.phone.store import Store

BASIC = (
    settings.APP,
    contacts.APP,
    messages.APP,
    clock.APP,
    calendar.APP,
    notes.APP,
    todo.APP,
    files.APP,
    shop.APP,
)
"""On every phone."""
HELDOUT = (music.APP,)
"""On the phones of held-out tasks alone."""


def build_phone(world_seed: int, heldout: bool) -> Device:
    """Return a phone with applications that have been in use, all drawn from `world_seed`."""
    random = Random(f"phone {world_seed}")
    apps = [system.HOME, system.SYSTEM, *BASIC, *(HELDOUT if heldout else ())]
    store = Store(table for app in apps for table in app.tables)
    for app in apps:
        app.populate(store, random)
    today = f"2026-05-{random.randrange(1, 29):02d}"
    return Device(apps, store, today, words.time(random))
